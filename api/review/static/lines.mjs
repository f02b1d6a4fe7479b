// Which lines two texts do not share, by their longest common subsequence.

// The table of the subsequence grows with the product of both; longer texts are compared line by line.
const LARGEST_TABLE = 4_000_000;

export function changedLines(left, right) {
  const shared = left.length * right.length > LARGEST_TABLE ? sameAtSamePlace(left, right) : common(left, right);
  const mark = (lines, kept) => lines.map((line, index) => ({ line, isChanged: !kept.has(index) }));
  return [mark(left, new Set(shared.map(([at]) => at))), mark(right, new Set(shared.map(([, at]) => at)))];
}

function sameAtSamePlace(left, right) {
  return left.map((line, index) => [index, index, line === right[index]]).filter(([, , isSame]) => isSame);
}

function common(left, right) {
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const shared = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    if (left[i] === right[j]) shared.push([i++, j++]);
    else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return shared;
}
