// The chosen theme before anything is drawn: no module, so that the page waits for it. See theme-choice.js.
try {
  const theme = localStorage.getItem('webedt-theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* storage is off: the system's theme */ }
