// What is folded is written when somebody opens it, and kept up to date only while it is open.

export function whenOpened(details, write) {
  let newest = null;
  const fill = () => newest && details.open && write(...newest);
  details.addEventListener('toggle', fill);
  return function update(...facts) {
    newest = facts;
    fill();
  };
}
