"use strict";

// One viewer per dataset and task: a toolbar (level, left, right) over all of its pictures.
for (const viewer of document.querySelectorAll(".viewer")) {
  const index = viewer.dataset.section;
  const data = JSON.parse(document.getElementById(`pictures-${index}`).textContent);
  const figures = [...viewer.querySelectorAll(".picture")];
  const near = new Set();
  const state = { level: String(data.start), left: "", right: "" };

  const methods = () => Object.keys(data.images[0].views[state.level]);
  const scoreOf = (method, image) => data.scores[state.level]?.[method]?.[image.name] ?? "";
  const viewOf = (method, image) =>
    method === data.clean ? image.clean : image.views[state.level][method];
  const cropOf = (method, image) =>
    method === data.clean ? image.clean_crop : image.crops[state.level][method];
  const psnrOf = (method, image) => {
    const score = scoreOf(method, image);
    return score.startsWith("∞") ? Infinity : parseFloat(score);
  };

  function element(name, attributes = {}, text = "") {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  const choices = { left: element("select"), right: element("select") };

  // Not every method is measured at every level.
  function fill(side) {
    const names = [...methods(), data.clean];
    if (!names.includes(state[side])) state[side] = side === "left" ? names[0] : data.clean;
    choices[side].replaceChildren(...names.map((n) => element("option", { value: n }, n)));
    choices[side].value = state[side];
  }

  function select(side) {
    const label = element("label", { class: "choice" }, side === "left" ? "Left" : "Right");
    const choice = choices[side];
    fill(side);
    choice.addEventListener("change", () => {
      state[side] = choice.value;
      drawAll();
    });
    label.append(choice);
    return label;
  }

  function levels() {
    const group = element("fieldset");
    group.append(element("legend", { class: "visually-hidden" }, "Level"));
    for (const [level, text] of data.levels) {
      const label = element("label", {}, text);
      const button = element("input", { type: "radio", name: `level-${index}`, value: level });
      button.checked = String(level) === state.level;
      button.addEventListener("change", () => {
        state.level = String(level);
        Object.keys(choices).forEach(fill);
        drawAll();
      });
      label.prepend(button);
      group.append(label);
    }
    return group;
  }

  function drawCrops(list, image) {
    const shown = [...methods(), data.clean];
    const best = methods().reduce((a, b) => (psnrOf(b, image) > (psnrOf(a, image) || -1) ? b : a));
    list.replaceChildren(
      ...shown.map((method) => {
        const item = element("li", method === best ? { class: "top" } : {});
        item.append(
          element("img", { src: cropOf(method, image), alt: `${image.name}, enlarged: ${method}` }),
          element("strong", {}, method),
          element("span", {}, method === data.clean ? "reference" : scoreOf(method, image) || "input"),
        );
        return item;
      }),
    );
  }

  function draw(figure) {
    const image = data.images[Number(figure.dataset.image)];
    for (const side of ["left", "right"]) {
      const picture = figure.querySelector(`img.${side}`);
      picture.src = viewOf(state[side], image);
      picture.alt = `${image.name}: ${state[side]}`;
      const score = scoreOf(state[side], image).split(" / ")[0];
      figure.querySelector(`.tag-${side}`).textContent =
        state[side] + (score ? ` · ${score}` : "");
    }
    drawCrops(figure.querySelector(".crops"), image);
  }

  const drawAll = () => near.forEach(draw);

  function prepare(figure) {
    const image = data.images[Number(figure.dataset.image)];
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    const { shown, crop } = image;
    Object.assign(figure.querySelector(".frame").style, {
      left: percent(crop.left, shown.width),
      top: percent(crop.top, shown.height),
      width: percent(crop.width, shown.width),
      height: percent(crop.height, shown.height),
    });
    const range = figure.querySelector("input");
    const move = () => {
      figure.querySelector(".compare").style.setProperty("--at", `${range.value}%`);
      range.setAttribute("aria-valuetext", `${range.value}% ${state.left}`);
    };
    range.addEventListener("input", move);
    move();
  }

  const first = methods();
  state.left = first.includes(data.input) ? data.input : first[0];
  const ranked = first.filter((method) => method !== state.left);
  state.right = ranked.length
    ? ranked.reduce((a, b) => (psnrOf(b, data.images[0]) > psnrOf(a, data.images[0]) ? b : a))
    : data.clean;
  viewer.querySelector(".toolbar").append(levels(), select("left"), select("right"));
  figures.forEach(prepare);

  // Pictures are decoded only when they come near the screen.
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting && !near.has(entry.target)) {
          near.add(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "800px" },
  );
  figures.forEach((figure) => observer.observe(figure));
  addEventListener("beforeprint", () => figures.forEach((figure) => near.add(figure) && draw(figure)));
}
