// The slider, what it says in words, and the drawing of everything at once.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const [slider, play, spoken] = [byId("alpha"), byId("play"), byId("status")];
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const MOVE = 260; // ms from one α to the next
const STEP = 900; // ms that an α is shown for while playing

for (const scene of data.scenes) {
  scene.grid.bytes = Uint8Array.from(atob(scene.grid.data), (sign) => sign.charCodeAt(0));
  scene.plain = boundaries(planeOf(scene, 0), scene.grid.size);
}

let scene = data.scenes[0];
let view = null; // what the two large panels show
let moving = 0; // the animation's frame
let playing = 0; // the timer

const position = () => Number(slider.value);
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;
const viewAt = (place) => ({ planes: planeOf(scene, place), lam: scene.samples.lam[place] });

function drawLarge() {
  drawBoundary(byId("boundary"), scene, view);
  drawSamples(byId("samples"), scene, view);
}

function drawSmall() {
  const place = position();
  drawDensity(byId("density"), data.alphas[place], data.logNorms[place]);
  drawCalibration(byId("calibration"), scene, place);
  drawScores(byId("scores"), scene, data.alphas, place);
}

function drawAll() {
  cancelAnimationFrame(moving);
  view = viewAt(position());
  drawLarge();
  drawSmall();
}

// Shows another α: texts and small panels at once, large panels with a short animation.
function go() {
  showTexts();
  drawSmall();
  cancelAnimationFrame(moving);
  const [from, to] = [view, viewAt(position())];
  if (still.matches) {
    view = to;
    return drawLarge();
  }
  let start;
  const frame = (now) => {
    start ??= now;
    const share = Math.min((now - start) / MOVE, 1);
    const eased = share * (2 - share);
    view = share === 1 ? to : {
      planes: blendPlanes(from.planes, to.planes, eased),
      lam: from.lam.map((lam, k) => lam + eased * (to.lam[k] - lam)),
    };
    drawLarge();
    if (share < 1) moving = requestAnimationFrame(frame);
  };
  moving = requestAnimationFrame(frame);
}

// ---------------------------------------------------------------------------- texts

function showTexts() {
  const place = position();
  const alpha = data.alphas[place];
  byId("value").textContent = alpha;
  slider.setAttribute("aria-valuetext", alpha);
  showStatus(alpha, place);
  const texts = {
    boundary: wordsOfBoundary(place),
    samples: wordsOfSamples(alpha, place),
    density: wordsOfDensity(alpha),
    calibration: wordsOfCalibration(place),
    scores: wordsOfScores(place),
  };
  for (const [name, text] of Object.entries(texts)) {
    byId(`${name}-text`).textContent = text;
    const heading = byId(name).closest("figure").querySelector("h2").textContent;
    byId(name).setAttribute("aria-label", `${heading}, at α = ${alpha}. ${text}`);
  }
}

function showStatus(alpha, place) {
  const { error, log_loss, ece } = scene.scores;
  const parts = [
    ["error", percent(error[place], 1), percent(error[0], 1)],
    ["log-loss", log_loss[place].toFixed(3), log_loss[0].toFixed(3)],
    ["calibration error", ece[place].toFixed(3), ece[0].toFixed(3)],
  ].map(([name, value, plain]) => {
    const part = document.createElement("span");
    const [bold, small] = [document.createElement("b"), document.createElement("small")];
    bold.textContent = value;
    small.textContent = place ? ` (α = 0: ${plain})` : "";
    part.append(`${name} `, bold, small);
    return part;
  });
  const first = document.createElement("span");
  first.textContent = `α = ${alpha}`;
  first.className = "unseen"; // for screen readers; it is next to the slider
  spoken.replaceChildren(first, ...parts);
}

function wordsOfBoundary(place) {
  const sure = (k) => percent(shareAbove(planeOf(scene, k), 0.9));
  const plain = place ? `; at α = 0, in ${sure(0)}` : "";
  return `The net is more than 90 % confident in ${sure(place)} of this plane${plain}. The marks are its ${scene.points.x.length} training rows.`;
}

function wordsOfSamples(alpha, place) {
  const lam = scene.samples.lam[place];
  if (!alpha) return `${lam.length} training rows, unchanged: this is plain training.`;
  const smaller = lam.reduce((sum, l) => sum + Math.min(l, 1 - l), 0) / lam.length;
  return `${lam.length} mixed examples, each on the line between two training rows. The smaller weight is ${percent(smaller)} on average.`;
}

function wordsOfDensity(alpha) {
  if (!alpha) return "α = 0: nothing is mixed. This is plain training.";
  const where =
    alpha < 1 ? "most weights are close to 0 or 1, so one of the two examples dominates" :
    alpha > 1 ? "most weights are around ½, so both examples count about equally" :
    "every weight is equally likely";
  return `λ is drawn from Beta(${alpha}, ${alpha}): ${where}.`;
}

function wordsOfCalibration(place) {
  const bins = scene.bins[place];
  const mean = (values) =>
    percent(values.reduce((sum, value, k) => sum + value * bins.count[k], 0) / scene.heldOut, 1);
  return `Mean confidence ${mean(bins.confidence)}, accuracy ${mean(bins.accuracy)}. On the dashed line, the net is right as often as it says; below it, it is overconfident. Every dot stands for at least 10 rows, larger dots for more. Grey: α = 0.`;
}

function wordsOfScores(place) {
  const { error, log_loss } = scene.scores;
  const lowest = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? "the same at every α" : `lowest at α = ${data.alphas[values.indexOf(low)]}`;
  };
  const spread = Math.sqrt((error[place] * (1 - error[place])) / scene.heldOut);
  return `On ${scene.heldOut.toLocaleString("en")} held-out rows, the error is ${lowest(error)}, the log-loss ${lowest(log_loss)}. The standard error of the error is ${(100 * spread).toFixed(1)} percentage points. Click to set α.`;
}

function showLegend() {
  const target = document.createElement("li");
  target.textContent = `${scene.target}:`;
  byId("legend").replaceChildren(
    ...(scene.target ? [target] : []),
    ...scene.classes.map((name, code) => {
      const [item, swatch] = [document.createElement("li"), document.createElement("canvas")];
      swatch.setAttribute("aria-hidden", "true");
      mark(prepare(swatch, 16, 16).context, code, 8, 8, 5);
      item.append(swatch, name);
      return item;
    }),
  );
}

// ------------------------------------------------------------------------- controls

function moveTo(place) {
  if (place === position()) return;
  slider.value = place;
  go();
}

function pause() {
  clearInterval(playing);
  playing = 0;
  showPlaying();
}

function showPlaying() {
  play.setAttribute("aria-pressed", String(Boolean(playing)));
  play.firstElementChild.textContent = playing ? "❚❚" : "▶";
  play.querySelector(".word").textContent = playing ? "Pause" : "Play";
  spoken.setAttribute("aria-live", playing ? "off" : "polite");
}

function resume() {
  const last = data.alphas.length - 1;
  moveTo(position() === last ? 0 : position() + 1);
  playing = setInterval(() => (position() === last ? pause() : moveTo(position() + 1)), STEP);
  showPlaying();
}

function redraw() {
  readColours();
  showLegend();
  showTexts();
  drawAll();
}

slider.addEventListener("input", () => {
  pause();
  go();
});
play.addEventListener("click", () => (playing ? pause() : resume()));
byId("scenes")?.addEventListener("change", (event) => {
  scene = data.scenes[Number(event.target.value)];
  redraw();
});
function point(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  const { left, right, xEnds } = scoreArea(event.target, data.alphas.length);
  const share = (event.offsetX - left) / (right - left);
  pause();
  moveTo(Math.round(Math.min(Math.max(share, 0), 1) * xEnds[1]));
}
for (const kind of ["pointerdown", "pointermove"]) byId("scores").addEventListener(kind, point);
dark.addEventListener("change", redraw);
new ResizeObserver(drawAll).observe(document.querySelector(".panels"));
readColours();
redraw();
