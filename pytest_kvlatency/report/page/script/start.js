document.documentElement.classList.add("script");
startHeatmaps();
startMoves();
if (data.entries.length) startTable();
else document.getElementById("pairs").hidden = true;
startView();
