document.documentElement.classList.add("script");
startHeatmaps();
if (data.entries.length) startTable();
else document.getElementById("pairs").hidden = true;
startView();
