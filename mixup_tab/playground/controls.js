// The slider, the switches, what they say in words, and the drawing of everything at once.

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

const KEYS = ["data", "noise", "rows", "mixing"]; // of the switches, as in the address
const RULES = Object.keys(data.mixings);
const START = { mixing: RULES.at(-1), alpha: slider.value };
let scene = data.scenes[0];
let mixing = START.mixing;
let view = null; // what the two large panels show
let moving = 0; // the animation's frame
let playing = 0; // the timer

const position = () => Number(slider.value);
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;

// The number of a net among those of a scene: plain training, then every rule at every α > 0.
function netAt(place, rule = mixing) {
  return place ? RULES.indexOf(rule) * (data.alphas.length - 1) + place : 0;
}

// One score of the chosen rule at all α.
const scoresOf = (name) => data.alphas.map((_, place) => scene.scores[name][netAt(place)]);

function viewAt(place) {
  const { first, second, x, y } = data.samples[scene.rows];
  const net = netAt(place);
  const rule = RULES.indexOf(mixing);
  return { planes: planeOf(scene, net), first, second: second[rule], x: x[net], y: y[net] };
}

function drawLarge() {
  drawBoundary(byId("boundary"), scene, view);
  drawSamples(byId("samples"), scene, view);
}

function drawSmall() {
  const place = position();
  drawDensity(byId("density"), data.alphas[place], data.logNorms[place], meaningOfLambda());
  drawCalibration(byId("calibration"), scene, netAt(place));
  const scores = { error: scoresOf("error"), log_loss: scoresOf("log_loss") };
  drawScores(byId("scores"), scores, data.alphas, place);
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
  keepSetting();
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
    const between = (name) => from[name].map((w, k) => w + eased * (to[name][k] - w));
    view = share === 1 ? to : {
      ...to,
      planes: blendPlanes(from.planes, to.planes, eased),
      x: between("x"),
      y: between("y"),
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
  byId("verdict").textContent = verdict(alpha, place);
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
  const [error, log_loss, ece] = ["error", "log_loss", "ece"].map(scoresOf);
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

// Whether mixing helps here, from the differences between the held-out rows.
function verdict(alpha, place) {
  if (!alpha) return "This is plain training. Move α to mix.";
  const [gain, spread] = ["gain", "spread"].map((name) => scoresOf(name)[place]);
  const change = `(95 % interval ±\u00a0${spread.toFixed(3)})`;
  const by = `log-loss by ${Math.abs(gain).toFixed(3)} ${change} against plain training`;
  if (Math.abs(gain) <= spread) return `No clear difference: mixing changes the ${by}.`;
  return gain > 0 ? `Mixing helps here: it lowers the ${by}.` : `Mixing harms here: it raises the ${by}.`;
}

function wordsOfBoundary(place) {
  const sure = (k) => percent(shareAbove(planeOf(scene, netAt(k)), 0.9));
  const plain = place ? `; at α = 0, in ${sure(0)}` : "";
  return `The net is more than 90 % confident in ${sure(place)} of this plane${plain}. The marks are its ${scene.rows} training rows.`;
}

function wordsOfSamples(alpha, place) {
  const sample = viewAt(place);
  const count = sample.first.length;
  if (!alpha) return `${count} training rows, unchanged: this is plain training.`;
  const smaller = sample.x.reduce((sum, _, k) => {
    const share = labelShare(sample, k);
    return sum + Math.min(share, 1 - share);
  }, 0) / count;
  const where = {
    mixup: "each on the line between two training rows",
    cutmix: "each with either value from one of two training rows",
    "mixup+cutmix": "half of them on the line between two training rows, half with either value from one of the two",
  }[mixing];
  return `${count} mixed examples, ${where}. The smaller weight in a label is ${percent(smaller)} on average.`;
}

function meaningOfLambda() {
  return {
    mixup: "λ, the weight of the first example",
    cutmix: "λ, the chance to keep a column",
    "mixup+cutmix": "λ, weight of the first example or chance to keep a column",
  }[mixing];
}

function wordsOfDensity(alpha) {
  if (!alpha) return "α = 0: nothing is mixed. This is plain training.";
  const where =
    alpha < 1 ? "mostly close to 0 or 1, so one of the two examples dominates" :
    alpha > 1 ? "mostly around ½, so both examples count about equally" :
    "every value is equally likely";
  return `λ is drawn from Beta(${alpha}, ${alpha}): ${where}.`;
}

function wordsOfCalibration(place) {
  const bins = scene.bins[netAt(place)];
  const mean = (values) =>
    percent(values.reduce((sum, value, k) => sum + value * bins.count[k], 0) / scene.heldOut, 1);
  return `Mean confidence ${mean(bins.confidence)}, accuracy ${mean(bins.accuracy)}. On the dashed line, the net is right as often as it says; below it, it is overconfident. Every dot stands for at least 10 rows, larger dots for more. Grey: α = 0.`;
}

function wordsOfScores(place) {
  const [error, log_loss] = ["error", "log_loss"].map(scoresOf);
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

// ---------------------------------------------------------------- switches and address

const settingOf = (one) => ({ data: one.data, noise: one.noise, rows: String(one.rows) });
const inputs = (key) => [...document.getElementsByName(key)];

// Keeps the setting in the address, so that it can be sent to somebody.
function keepSetting() {
  const all = { ...settingOf(scene), mixing, alpha: data.alphas[position()] };
  const kept = new URLSearchParams();
  for (const key of KEYS) if (inputs(key).length) kept.set(key, all[key]);
  kept.set("alpha", all.alpha);
  try {
    history.replaceState(null, "", `#${kept}`);
  } catch {
    // In some frames, and after many changes at once, browsers refuse: the page goes on.
  }
}

// Takes the setting from the address; what it does not say, or says wrongly, is as at the start.
function readSetting() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const key of KEYS) {
    const found = inputs(key).find((input) => input.value === kept.get(key));
    const usual = inputs(key).find((input) => input.defaultChecked);
    if (usual) (found ?? usual).checked = true;
  }
  const place = data.alphas.findIndex((alpha) => String(alpha) === kept.get("alpha"));
  slider.value = place < 0 ? START.alpha : place;
}

function readSwitches() {
  const chosen = Object.fromEntries(
    KEYS.map((key) => [key, inputs(key).find((input) => input.checked)?.value]),
  );
  mixing = chosen.mixing;
  scene = data.scenes.find((one) =>
    Object.entries(settingOf(one)).every(([key, value]) => (chosen[key] ?? value) === value),
  );
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
document.querySelector(".choice").addEventListener("change", () => {
  readSwitches();
  keepSetting();
  redraw();
});
addEventListener("hashchange", () => {
  pause();
  readSetting();
  readSwitches();
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
readSetting();
readSwitches();
redraw();
