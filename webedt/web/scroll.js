// Stays at the end of a growing text until the reader scrolls up; then offers the way back.
const NEAR_PIXELS = 60;

export function stickToEnd(scroller, button) {
  const listeners = new AbortController();
  const { signal } = listeners;
  let atEnd = true;

  const settle = () => {
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  };
  const jump = () => {
    atEnd = true;
    button.hidden = true;
    settle();
  };
  const measure = () => {
    atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PIXELS;
    button.hidden = atEnd;
  };
  const resized = new ResizeObserver(settle);

  scroller.addEventListener('scroll', measure, { passive: true, signal });
  button.addEventListener('click', () => { jump(); scroller.focus(); }, { signal });
  resized.observe(scroller);
  button.hidden = true;
  return { settle, jump, close: () => { listeners.abort(); resized.disconnect(); } };
}
