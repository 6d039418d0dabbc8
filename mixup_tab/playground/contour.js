// Lines along which a function on a grid is zero (marching squares).

// An edge of the grid is 2 * node for the one to the right of a node, 2 * node + 1 for the one
// above it. A cell's edges: below, right, above, left.
function edgesOfCell(column, row, size) {
  const node = row * size + column;
  return [2 * node, 2 * (node + 1) + 1, 2 * (node + size), 2 * node + 1];
}

// Which edges a line joins, by the signs at the corners: 1 lower left, 2 lower right,
// 4 upper right, 8 upper left.
const JOINED = [
  [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 2], [0, 1]], [[0, 2]], [[3, 2]],
  [[2, 3]], [[0, 2]], [[0, 3], [1, 2]], [[1, 2]], [[1, 3]], [[0, 1]], [[0, 3]], [],
];

// Returns lines as lists of [x, y], from [0, 0] to [1, 1] over the grid.
function contours(values, size) {
  const neighbours = new Map();
  const join = (a, b) => {
    if (!neighbours.has(a)) neighbours.set(a, []);
    neighbours.get(a).push(b);
  };
  for (let row = 0; row + 1 < size; row++)
    for (let column = 0; column + 1 < size; column++) {
      const node = row * size + column;
      const corners =
        (values[node] > 0) + 2 * (values[node + 1] > 0) +
        4 * (values[node + size + 1] > 0) + 8 * (values[node + size] > 0);
      if (corners === 0 || corners === 15) continue;
      const edges = edgesOfCell(column, row, size);
      for (const [a, b] of JOINED[corners]) {
        join(edges[a], edges[b]);
        join(edges[b], edges[a]);
      }
    }
  return chains(neighbours).map((edges) => edges.map((edge) => crossing(edge, values, size)));
}

function chains(neighbours) {
  const lines = [];
  const ends = [...neighbours.keys()].filter((edge) => neighbours.get(edge).length === 1);
  for (const start of [...ends, ...neighbours.keys()]) {
    const line = [start];
    for (let here = start; neighbours.get(here).length; ) {
      const next = neighbours.get(here).pop();
      const back = neighbours.get(next);
      back.splice(back.indexOf(here), 1);
      line.push((here = next));
    }
    if (line.length > 1) lines.push(line);
  }
  return lines;
}

function crossing(edge, values, size) {
  const node = edge >> 1;
  const other = edge & 1 ? node + size : node + 1;
  const share = values[node] / (values[node] - values[other]);
  const [x, y] = [node % size, Math.floor(node / size)];
  return [(x + (edge & 1 ? 0 : share)) / (size - 1), (y + (edge & 1 ? share : 0)) / (size - 1)];
}
