// When things are drawn.

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

// Work that can wait until the browser has nothing else to do.
export function whenIdle(work) {
  const [request, cancel] = globalThis.requestIdleCallback
    ? [(call) => requestIdleCallback(call, { timeout: 1000 }), cancelIdleCallback]
    : [(call) => setTimeout(call, 50), clearTimeout];
  let due = 0;
  const ask = () => {
    due ||= request(() => {
      due = 0;
      work();
    });
  };
  ask.cancel = () => { cancel(due); due = 0; };
  return ask;
}
