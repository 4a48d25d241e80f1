document.documentElement.classList.add("script");
startHeatmaps();
startTable();
startView();
