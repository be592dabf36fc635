// Stays at the end of a growing text until the reader scrolls up; then offers the way back.
const NEAR_PIXELS = 60;

export function stickToEnd(scroller, button) {
  const listeners = new AbortController();
  const { signal } = listeners;
  let atEnd = true;
  let top = 0;

  const distance = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  const settle = () => {
    if (!atEnd) {
      button.hidden = distance() < NEAR_PIXELS; // the text grows on, out of sight
      return;
    }
    scroller.scrollTop = scroller.scrollHeight;
    top = scroller.scrollTop;
  };
  const jump = () => {
    atEnd = true;
    button.hidden = true;
    settle();
  };
  // Who scrolls up by a few pixels means it: the next word must not pull the text away again.
  const measure = () => {
    const isUp = scroller.scrollTop < top;
    atEnd = distance() < (isUp || !atEnd ? 2 : NEAR_PIXELS);
    top = scroller.scrollTop;
    button.hidden = distance() < NEAR_PIXELS;
  };
  // Draws above what is in sight; that stays where it is.
  const keeping = (anchor, draw) => {
    const before = anchor?.getBoundingClientRect().top;
    draw();
    if (atEnd || !anchor) return settle();
    const moved = anchor.getBoundingClientRect().top - before;
    if (moved) scroller.scrollTop += moved;
    top = scroller.scrollTop;
  };
  const resized = new ResizeObserver(settle);

  scroller.addEventListener('scroll', measure, { passive: true, signal });
  scroller.addEventListener('toggle', measure, { capture: true, signal }); // what somebody unfolds is not scrolled away
  scroller.addEventListener('load', settle, { capture: true, signal }); // a picture has its height only now
  button.addEventListener('click', () => { jump(); scroller.focus(); }, { signal });
  resized.observe(scroller);
  button.hidden = true;
  return { settle, jump, keeping, close: () => { listeners.abort(); resized.disconnect(); } };
}
