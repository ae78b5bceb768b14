/* The values of a chart, shown when pointed at, tapped, or reached by the arrow keys. */
(() => {
  const NEAR = 28; // px from a mark at which it is meant
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true"); // the mark that has the focus says the same
  tip.hidden = true;
  document.body.append(tip);

  const middle = (mark) => {
    const box = mark.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2, box];
  };
  const hide = () => { tip.hidden = true; };
  const show = (mark) => {
    const [x, , box] = middle(mark);
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const left = Math.min(x - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    const above = box.top - tip.offsetHeight - 8;
    tip.style.top = `${above > 0 ? above : box.bottom + 8}px`;
  };

  for (const figure of document.querySelectorAll("svg.figure")) {
    const marks = [...figure.querySelectorAll(".role-mark [aria-label]")];
    if (!marks.length) continue;
    // One stop for the tabulator; the arrow keys go on from there.
    marks.forEach((mark, at) => mark.setAttribute("tabindex", at ? -1 : 0));
    const go = (from, to) => {
      from.setAttribute("tabindex", -1);
      to.setAttribute("tabindex", 0);
      to.focus();
    };
    figure.addEventListener("keydown", (event) => {
      const at = marks.indexOf(event.target);
      const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1,
        Home: 0, End: marks.length - 1 }[event.key];
      if (event.key === "Escape") hide();
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      if (marks[to]) go(marks[at], marks[to]);
    });
    figure.addEventListener("focusin", (event) => show(event.target));
    figure.addEventListener("focusout", hide);
    const point = (event) => {
      const away = (mark) => {
        const [x, y] = middle(mark);
        return Math.hypot(x - event.clientX, y - event.clientY);
      };
      const nearest = marks.reduce((one, other) => (away(other) < away(one) ? other : one));
      if (away(nearest) < NEAR) show(nearest);
      else hide();
    };
    figure.addEventListener("pointermove", point);
    figure.addEventListener("pointerdown", point);
    figure.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  }
  addEventListener("scroll", hide, { passive: true });
})();
