// Keys inside an open session: / goes to the prompt, Escape leaves it for the conversation.

export function sessionKeys(page, box) {
  const listeners = new AbortController();
  page.ownerDocument.addEventListener('keydown', (event) => {
    const isTyping = event.target.closest?.('input, textarea, select, [contenteditable], dialog');
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '/' && !isTyping) {
      event.preventDefault();
      box.focus({ isWanted: true });
    }
    if (event.key === 'Escape' && box.hasFocus()) {
      event.preventDefault();
      page.querySelector('.scroller').focus({ preventScroll: true });
    }
  }, { signal: listeners.signal });
  return { close: () => listeners.abort() };
}
