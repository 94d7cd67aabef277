// Removes symbols and debug data from a 64-bit Linux executable: 32 MB of node that a running
// program never reads.
//
// `strip` does the same, but only for its own architecture, and not every build machine has it.
// This must run before pkg injects the program, because stripping removes any part that a linker
// did not place.

const ELF64_LITTLE_ENDIAN = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
const PROGRAM_HEADER_LOAD = 1;
const SECTION_ALLOCATED = 2;

/**
 * Returns a shorter copy. Throws if the file does not have a linker's layout: the loaded sections
 * first, the rest behind them.
 */
export function stripElf(file: Buffer): Buffer {
  if (!file.subarray(0, 6).equals(ELF64_LITTLE_ENDIAN)) throw new Error('not a 64-bit little-endian ELF file');
  const segments = headers(file, { at: 32, size: 54, count: 56 });
  const sections = headers(file, { at: 40, size: 58, count: 60 });
  const names = sections[file.readUInt16LE(62)];
  const loadedEnd = Math.max(...segments.filter((s) => s.readUInt32LE(0) === PROGRAM_HEADER_LOAD).map(segmentEnd));
  const isAllocated = (section: Buffer, index: number): boolean =>
    index === 0 || (section.readUInt8(8) & SECTION_ALLOCATED) !== 0;
  const kept = sections.filter(isAllocated);
  // Sections refer to each other by index, so the remaining sections must not move.
  if (!names || !sections.slice(0, kept.length).every(isAllocated)) throw new Error('sections in an unknown order');

  const [namesAt, namesSize] = [Number(names.readBigUInt64LE(24)), Number(names.readBigUInt64LE(32))];
  const namesMoved = Buffer.from(names);
  namesMoved.writeBigUInt64LE(BigInt(loadedEnd), 24);
  const padding = Buffer.alloc(-(loadedEnd + namesSize) & 7);
  const head = Buffer.from(file.subarray(0, loadedEnd));
  head.writeBigUInt64LE(BigInt(loadedEnd + namesSize + padding.length), 40);
  head.writeUInt16LE(kept.length + 1, 60);
  head.writeUInt16LE(kept.length, 62);
  return Buffer.concat([head, file.subarray(namesAt, namesAt + namesSize), padding, ...kept, namesMoved]);
}

/**
 * Returns the entries of a header table. The arguments locate the table's offset, entry size and
 * count in the ELF header.
 */
function headers(file: Buffer, where: { at: number; size: number; count: number }): Buffer[] {
  const at = Number(file.readBigUInt64LE(where.at));
  const size = file.readUInt16LE(where.size);
  return Array.from({ length: file.readUInt16LE(where.count) }, (_, index) =>
    file.subarray(at + index * size, at + (index + 1) * size),
  );
}

function segmentEnd(segment: Buffer): number {
  return Number(segment.readBigUInt64LE(8) + segment.readBigUInt64LE(32));
}
