"""The table of runs by keyboard: Enter on a name opens its run, the space bar ticks a line."""

from __future__ import annotations

import streamlit as st

# Streamlit (1.67) paints tables on a canvas, where buttons and ticks react to the mouse only; the focused cell is an
# element within the canvas, with its column and line in its id. A key presses the mouse at the place of that line: all
# lines are equally high, and ticks and names are pinned at the left. 52 px is within the first letter of a name.
SCRIPT = """
if (!window.runsAreReachedByKeyboard) {
  window.runsAreReachedByKeyboard = true;
  const NAME = 1, TICK_PX = 16, NAME_PX = 52, STEP_MS = 50;
  const press = (table, line, x) => {
    const canvas = table.querySelector("canvas"), scroller = table.querySelector(".dvn-scroller");
    const height = scroller.scrollHeight / canvas.querySelector("[role=grid]").getAttribute("aria-rowcount");
    const {left, top} = canvas.getBoundingClientRect();
    const at = {clientX: left + x, clientY: top + (line + 1.5) * height - scroller.scrollTop};
    const send = (Kind, type, buttons) =>
      canvas.dispatchEvent(new Kind(type, {...at, buttons, bubbles: true, cancelable: true}));
    const both = (type, buttons) => {
      send(PointerEvent, "pointer" + type, buttons);
      send(MouseEvent, "mouse" + type, buttons);
    };
    both("move", 0);  // the table sees the button go up where it knows that it went down: it is drawn in between
    setTimeout(() => both("down", 1), STEP_MS);
    setTimeout(() => { both("up", 0); send(MouseEvent, "click", 0); }, 2 * STEP_MS);
  };
  document.addEventListener("keydown", (event) => {
    const cell = event.target, place = /^glide-cell-([0-9]+)-([0-9]+)$/.exec(cell.id ?? "");
    const table = cell.closest?.(".st-key-runs-table");
    if (!place || !table || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const [column, line] = place.slice(1).map(Number);
    const opens = event.key === "Enter" && column === NAME;
    if (!opens && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    press(table, line, opens ? NAME_PX : TICK_PX);
  }, true);
}
"""


def reach_table() -> None:
    """Let the keyboard reach names and ticks of the table of runs; to be called once on its page."""
    st.html(f"<script>{SCRIPT}</script>", unsafe_allow_javascript=True)
