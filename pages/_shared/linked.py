"""Linked cameras: densities in one figure are seen from one side, so that turning one turns them all."""

from __future__ import annotations

import streamlit as st

# Plotly has no such option, and Streamlit does not hand out Plotly's own functions. Figures are looked for again and
# again, because they are drawn later than this runs, and anew whenever the page changes.
SCRIPT = """
if (!window.camerasAreLinked) {
  window.camerasAreLinked = true;
  const link = (figure) => {
    const scenes = () => Object.keys(figure._fullLayout).filter((name) => /^scene[0-9]*$/.test(name));
    if (figure.hasLinkedCameras || scenes().length < 2) return;
    figure.hasLinkedCameras = true;
    const follow = (changes) => {
      const turned = scenes().find((name) => changes[name + ".camera"]);
      if (!turned) return;
      const camera = changes[turned + ".camera"];
      for (const name of scenes().filter((name) => name !== turned)) {
        const copy = JSON.parse(JSON.stringify(camera));
        figure._fullLayout[name].camera = copy;
        figure.layout[name].camera = JSON.parse(JSON.stringify(camera));
        figure._fullLayout[name]._scene.setViewport(figure._fullLayout[name]);
      }
    };
    figure.on("plotly_relayouting", follow);
    figure.on("plotly_relayout", follow);
  };
  setInterval(() => {
    for (const figure of document.querySelectorAll(".js-plotly-plot")) if (figure._fullLayout) link(figure);
  }, 500);
}
"""


def cameras() -> None:
    """Link the cameras of the page's figures; to be called once where there may be such a figure."""
    st.html(f"<script>{SCRIPT}</script>", unsafe_allow_javascript=True)
