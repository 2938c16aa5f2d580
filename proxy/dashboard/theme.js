// Sets the chosen theme before anything is painted; without a choice the system's own applies.
document.documentElement.dataset.theme = localStorage.getItem("elision-theme") ?? "auto";
