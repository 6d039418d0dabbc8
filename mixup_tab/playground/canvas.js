// Colours, axes and marks for all panels.

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

// The red, green and blue of a colour of the style sheet, in the reader's scheme.
function rgb(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
}

const css = (parts, opacity = 1) => `rgba(${parts.map(Math.round).join(",")},${opacity})`;

let colours;
function readColours() {
  const classes = Array.from({ length: 10 }, (_, code) => rgb(`class-${code}`));
  colours = { classes };
  for (const name of ["ground", "ink", "quiet", "line", "accent"]) colours[name] = rgb(name);
}

// Makes a canvas as fine as the screen. Sizes are in CSS pixels from here on.
function prepare(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const fine = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.round(width * fine);
  canvas.height = Math.round(height * fine);
  const context = canvas.getContext("2d");
  context.scale(canvas.width / width, canvas.height / height);
  context.font = "12px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
  context.lineJoin = "round";
  return { context, width, height };
}

// A rectangle of the canvas with scales: [left, right] and [bottom, top] are data.
function plot(box, xEnds, yEnds) {
  const scale = (value, [low, high], from, to) =>
    from + ((value - low) / (high - low)) * (to - from);
  return {
    ...box,
    xEnds,
    yEnds,
    x: (value) => scale(value, xEnds, box.left, box.right),
    y: (value) => scale(value, yEnds, box.bottom, box.top),
  };
}

function niceTicks([low, high], count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high + step / 1e6; k++) ticks.push(k * step);
  return ticks;
}

// As short as possible while different from the neighbouring labels.
function label(value, ticks) {
  const largest = Math.max(...ticks.map(Math.abs));
  const step = Math.abs(ticks[1] - ticks[0]) || largest;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const long = largest >= 1e6 || digits > 4;
  const text = long && value ? value.toExponential(2) : value.toFixed(long ? 0 : digits);
  return text.replaceAll("-", "−");
}

// Frame, ticks and names of both axes. Ticks may be given as [value, text].
function axes(context, area, { xTicks, yTicks, xName = "", yName = "" }) {
  const texts = (ticks) =>
    ticks.map((tick) => (Array.isArray(tick) ? tick : [tick, label(tick, ticks)]));
  context.strokeStyle = css(colours.line);
  context.fillStyle = css(colours.quiet);
  context.lineWidth = 1;
  context.strokeRect(area.left, area.top, area.right - area.left, area.bottom - area.top);
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const [value, text] of texts(xTicks)) {
    stroke(context, [[area.x(value), area.bottom], [area.x(value), area.bottom + 4]]);
    context.fillText(text, area.x(value), area.bottom + 6);
  }
  const [across, up] = [area.right - area.left, area.bottom - area.top];
  context.fillText(shortened(context, xName, across), area.left + across / 2, area.bottom + 22);
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const [value, text] of texts(yTicks)) {
    stroke(context, [[area.left - 4, area.y(value)], [area.left, area.y(value)]]);
    context.fillText(text, area.left - 6, area.y(value));
  }
  context.save();
  context.translate(10, (area.top + area.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(shortened(context, yName, up), 0, 0);
  context.restore();
}

function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let kept = [...text];
  while (kept.length && context.measureText(`${kept.join("")}…`).width > width)
    kept = kept.slice(0, -1);
  return `${kept.join("")}…`;
}

function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function inside(context, area, draw) {
  context.save();
  context.beginPath();
  context.rect(area.left, area.top, area.right - area.left, area.bottom - area.top);
  context.clip();
  draw();
  context.restore();
}

// Corners of the marks: classes differ by shape as well as by colour.
const SHAPES = [
  null,
  [[-1.15, 0.85], [1.15, 0.85], [0, -1.2]],
  [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
  [[0, -1.25], [1.05, 0], [0, 1.25], [-1.05, 0]],
  [[-1.15, -0.85], [1.15, -0.85], [0, 1.2]],
];

function mark(context, code, x, y, radius) {
  const corners = SHAPES[code % SHAPES.length];
  context.beginPath();
  if (corners) for (const [dx, dy] of corners) context.lineTo(x + dx * radius, y + dy * radius);
  else context.arc(x, y, radius, 0, 2 * Math.PI);
  context.closePath();
  context.fillStyle = css(colours.classes[code]);
  context.strokeStyle = css(colours.ground);
  context.lineWidth = radius / 4;
  context.fill();
  context.stroke();
}
