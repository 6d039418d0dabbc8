// The five panels. Each gets a canvas, the scene, and a view of one of its nets.

// Probabilities over the plane by the scene's net number `net`, class by class.
function planeOf(scene, net) {
  const { size, bytes } = scene.grid;
  const classes = scene.classes.length;
  const nodes = size * size;
  const planes = Array.from({ length: classes }, () => new Float32Array(nodes));
  for (let node = 0; node < nodes; node++) {
    let rest = 1;
    for (let code = 0; code + 1 < classes; code++) {
      const share = bytes[(net * (classes - 1) + code) * nodes + node] / 255;
      planes[code][node] = share;
      rest -= share;
    }
    planes[classes - 1][node] = Math.max(rest, 0);
  }
  return planes;
}

function blendPlanes(one, other, share) {
  return one.map((plane, code) => plane.map((p, k) => p + share * (other[code][k] - p)));
}

// Boundaries between classes. With two classes there is one.
function boundaries(planes, size) {
  const lines = [];
  for (let code = 0; code < (planes.length === 2 ? 1 : planes.length); code++) {
    const lead = planes[code].map((p, node) => {
      let best = 0;
      for (let other = 0; other < planes.length; other++)
        if (other !== code) best = Math.max(best, planes[other][node]);
      return p - best;
    });
    lines.push(...contours(lead, size));
  }
  return lines;
}

// Share of the plane where the most probable class has more than a probability.
function shareAbove(planes, probability) {
  let count = 0;
  for (let node = 0; node < planes[0].length; node++)
    if (planes.some((plane) => plane[node] > probability)) count++;
  return count / planes[0].length;
}

function planeImage(planes, size) {
  const image = new ImageData(size, size);
  const [ground, least] = [colours.ground, 1 / planes.length];
  for (let node = 0; node < size * size; node++) {
    let top = 0;
    for (let code = 1; code < planes.length; code++)
      if (planes[code][node] > planes[top][node]) top = code;
    const strength = 0.62 * ((planes[top][node] - least) / (1 - least));
    const [x, y] = [node % size, size - 1 - Math.floor(node / size)];
    for (let part = 0; part < 3; part++)
      image.data[4 * (y * size + x) + part] =
        ground[part] + strength * (colours.classes[top][part] - ground[part]);
    image.data[4 * (y * size + x) + 3] = 255;
  }
  return image;
}

const sheet = document.createElement("canvas");
function fillPlane(context, area, planes, size) {
  sheet.width = sheet.height = size;
  sheet.getContext("2d").putImageData(planeImage(planes, size), 0, 0);
  const [width, height] = [area.right - area.left, area.bottom - area.top];
  const [dx, dy] = [width / (size - 1), height / (size - 1)]; // nodes are centres of pixels
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(sheet, area.left - dx / 2, area.top - dy / 2, width + dx, height + dy);
}

function drawLines(context, area, lines) {
  const [width, height] = [area.right - area.left, area.bottom - area.top];
  for (const line of lines)
    stroke(context, line.map(([x, y]) => [area.left + x * width, area.bottom - y * height]));
}

function planeArea(canvas, scene) {
  const { context, width, height } = prepare(canvas);
  const [left, right, bottom, top] = scene.limits;
  const yTicks = niceTicks([bottom, top], 5);
  const widest = Math.max(...yTicks.map((t) => context.measureText(label(t, yTicks)).width));
  const box = { left: widest + 28, right: width - 2, top: 2, bottom: height - 38 };
  const area = plot(box, [left, right], [bottom, top]);
  return { context, area, xTicks: niceTicks([left, right], width < 400 ? 4 : 6), yTicks };
}

function markRadius(count) {
  return count > 600 ? 2.2 : count > 250 ? 3 : 4;
}

function drawBoundary(canvas, scene, view) {
  const { context, area, xTicks, yTicks } = planeArea(canvas, scene);
  const { size } = scene.grid;
  inside(context, area, () => {
    fillPlane(context, area, view.planes, size);
    scene.points.x.forEach((x, k) => {
      const radius = markRadius(scene.points.x.length);
      mark(context, scene.points.code[k], area.x(x), area.y(scene.points.y[k]), radius);
    });
    context.setLineDash([5, 4]);
    context.strokeStyle = css(colours.ink, 0.75);
    context.lineWidth = 1.25;
    drawLines(context, area, scene.plain);
    context.setLineDash([]);
    context.strokeStyle = css(colours.ink);
    context.lineWidth = 2.25;
    drawLines(context, area, boundaries(view.planes, size));
  });
  const [xName, yName] = scene.columns;
  axes(context, area, { xTicks, yTicks, xName, yName });
}

function pie(context, x, y, radius, [one, other], share) {
  const start = -Math.PI / 2;
  const turn = start + 2 * Math.PI * share;
  const slice = (code, from, to) => {
    context.beginPath();
    if (to - from < 2 * Math.PI) context.moveTo(x, y);
    context.arc(x, y, radius, from, to);
    context.closePath();
    context.fillStyle = css(colours.classes[code]);
    context.fill();
  };
  slice(other, start, start + 2 * Math.PI);
  if (one !== other && share > 0) slice(one, start, turn);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = css(colours.ground);
  context.lineWidth = 0.75;
  context.stroke();
}

function drawSamples(canvas, scene, view) {
  const { context, area, xTicks, yTicks } = planeArea(canvas, scene);
  const { points } = scene;
  const radius = canvas.clientWidth < 400 ? 3.5 : 4.5;
  const pairs = view.first.map((i, k) => [i, view.second[k]]);
  const place = ([i, j], k) => [
    area.x(points.x[j] + view.x[k] * (points.x[i] - points.x[j])),
    area.y(points.y[j] + view.y[k] * (points.y[i] - points.y[j])),
  ];
  inside(context, area, () => {
    context.strokeStyle = css(colours.quiet, 0.13);
    context.lineWidth = 1;
    pairs.forEach((pair, k) => {
      const share = labelShare(view, k);
      if (Math.min(share, 1 - share) < 0.02) return;
      const ends = pair.map((row) => [area.x(points.x[row]), area.y(points.y[row])]);
      stroke(context, [ends[0], place(pair, k), ends[1]]);
    });
    pairs.forEach((pair, k) => {
      const codes = pair.map((row) => points.code[row]);
      pie(context, ...place(pair, k), radius, codes, labelShare(view, k));
    });
  });
  const [xName, yName] = scene.columns;
  axes(context, area, { xTicks, yTicks, xName, yName });
}

// The weight of the first row's label: the share of the columns that come from it.
const labelShare = (view, k) => (view.x[k] + view.y[k]) / 2;

const HIGHEST = 7; // of the density's axis; beyond α = 32 only its tip would be cut

function drawDensity(canvas, alpha, logNorm, name) {
  const { context, width, height } = prepare(canvas);
  const box = { left: 40, right: width - 8, top: 8, bottom: height - 38 };
  const area = plot(box, [0, 1], [0, HIGHEST]);
  const yTicks = [0, 2, 4, 6];
  const xTicks = [0, 0.25, 0.5, 0.75, 1].map((tick) => [tick, String(tick)]);
  axes(context, area, { xTicks, yTicks, xName: name, yName: "density" });
  context.strokeStyle = css(colours.accent);
  context.fillStyle = css(colours.accent, 0.2);
  context.lineWidth = 2.25;
  if (logNorm === null) {
    context.lineWidth = 4;
    stroke(context, [[area.x(1), area.bottom], [area.x(1), area.top]]);
    context.fillStyle = css(colours.ink);
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText("λ is always 1", area.x(1) - 12, (area.top + area.bottom) / 2);
    return;
  }
  const line = [];
  for (let k = 0; k <= 400; k++) {
    const lam = Math.min(Math.max(0.5 - 0.5 * Math.cos((Math.PI * k) / 400), 1e-6), 1 - 1e-6);
    const density = Math.exp((alpha - 1) * Math.log(lam * (1 - lam)) - logNorm);
    line.push([area.x(lam), area.y(Math.min(density, 2 * HIGHEST))]);
  }
  inside(context, area, () => {
    context.beginPath();
    for (const [x, y] of [[area.left, area.bottom], ...line, [area.right, area.bottom]]) context.lineTo(x, y);
    context.fill();
    stroke(context, line);
  });
}

function drawCalibration(canvas, scene, net) {
  const { context, width, height } = prepare(canvas);
  const least = 1 / scene.classes.length;
  const box = { left: 46, right: width - 16, top: 8, bottom: height - 38 };
  const area = plot(box, [least, 1], [0, 1.03]);
  const percent = (values) => values.map((value) => [value, `${Math.round(100 * value)}`]);
  axes(context, area, {
    xTicks: percent(niceTicks([least, 1], 5)),
    yTicks: percent(niceTicks([0, 1], 5)),
    xName: "confidence, %",
    yName: "accuracy, %",
  });
  inside(context, area, () => {
    context.setLineDash([5, 4]);
    context.lineWidth = 1;
    context.strokeStyle = css(colours.quiet);
    stroke(context, [[area.x(least), area.y(least)], [area.x(1), area.y(1)]]);
    context.setLineDash([]);
  });
  curve(context, area, scene.bins[0], colours.quiet, 0.55, 1.5);
  curve(context, area, scene.bins[net], colours.accent, 1, 2.25);
}

function curve(context, area, bins, colour, opacity, lineWidth) {
  const most = Math.max(...bins.count);
  const places = bins.confidence.map((c, k) => [area.x(c), area.y(bins.accuracy[k])]);
  context.strokeStyle = context.fillStyle = css(colour, opacity);
  context.lineWidth = lineWidth;
  stroke(context, places);
  places.forEach(([x, y], k) => {
    context.beginPath();
    context.arc(x, y, 2 + 5 * Math.sqrt(bins.count[k] / most), 0, 2 * Math.PI);
    context.fill();
  });
}

// Where the values of α stand in the panel of scores, for drawing and for pointing.
function scoreArea(canvas, count) {
  const width = canvas.clientWidth;
  return plot({ left: 56, right: width - 12, top: 0, bottom: 1 }, [0, count - 1], [0, 1]);
}

// `scores` are those of one rule at all α; `position` is the chosen one.
function drawScores(canvas, scores, alphas, position) {
  const { context, width, height } = prepare(canvas);
  const { left, right } = scoreArea(canvas, alphas.length);
  const middle = (height - 38) / 2;
  const series = [
    { name: "error, %", values: scores.error.map((e) => 100 * e), least: 1, top: 8, bottom: middle - 6 },
    { name: "log-loss", values: scores.log_loss, least: 0.02, top: middle + 8, bottom: height - 38 },
  ];
  series.forEach(({ name, values, least, top, bottom }, part) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = Math.max(0.12 * (high - low), least);
    const ends = [Math.max(low - margin, 0), high + margin];
    const area = plot({ left, right, top, bottom }, [0, alphas.length - 1], ends);
    const shown = alphas.map((alpha, k) => [k, String(alpha)]);
    const every = Math.ceil((alphas.length * 34) / (right - left));
    axes(context, area, {
      xTicks: part ? shown.filter((_, k) => k % every === 0) : [],
      yTicks: niceTicks(ends, 4),
      xName: part ? "α" : "",
      yName: name,
    });
    context.strokeStyle = css(colours.line);
    stroke(context, [[area.x(position), top], [area.x(position), bottom]]);
    context.strokeStyle = css(colours.accent);
    context.lineWidth = 2;
    stroke(context, values.map((value, k) => [area.x(k), area.y(value)]));
    context.fillStyle = css(colours.accent);
    context.beginPath();
    context.arc(area.x(position), area.y(values[position]), 5.5, 0, 2 * Math.PI);
    context.fill();
  });
}
