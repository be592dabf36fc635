// Many changes, one drawing: however often it is asked, draws once in the next animation frame.

export function oncePerFrame(draw) {
  let due = 0;
  const ask = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      draw();
    });
  };
  ask.cancel = () => { cancelAnimationFrame(due); due = 0; };
  return ask;
}
