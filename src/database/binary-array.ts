/**
 * Arrays in PostgreSQL's binary format (`array_recv` in src/backend/utils/adt/arrayfuncs.c). Bytes travel as bytes, so
 * neither side spends time on hexadecimal text.
 */
export const binaryArray = {
  uuid: (values: readonly (string | null)[]) => encode(2950, values, () => 16, writeUuid),
  bytea: (values: readonly (Buffer | null)[]) => encode(17, values, (it) => it.length, writeBytes),
  text: (values: readonly (string | null)[]) => encode(25, values, (it) => Buffer.byteLength(it), writeText),
  bool: (values: readonly (boolean | null)[]) => encode(16, values, () => 1, writeBoolean),
  int: (values: readonly (number | null)[]) => encode(23, values, () => 4, writeInteger),
  bigint: (values: readonly (bigint | null)[]) => encode(20, values, () => 8, writeBigint),
  float8: (values: readonly (number | null)[]) => encode(701, values, () => 8, writeFloat),
};

const headLength = 20;

/** @param type the OID of the element type. Built-in types have the same OID in every database (pg_type.dat). */
function encode<Value extends object | string | number | bigint | boolean>(
  type: number,
  values: readonly (Value | null)[],
  lengthOf: (value: Value) => number,
  write: (into: Buffer, value: Value, at: number) => void,
): Buffer {
  let length = headLength;
  for (const value of values) length += 4 + (value === null ? 0 : lengthOf(value));
  const encoded = Buffer.allocUnsafe(length);
  encoded.writeInt32BE(1, 0); // dimensions
  encoded.writeInt32BE(1, 4); // there may be nulls
  encoded.writeInt32BE(type, 8);
  encoded.writeInt32BE(values.length, 12);
  encoded.writeInt32BE(1, 16); // index of the first element
  let at = headLength;
  for (const value of values) {
    const size = value === null ? 0 : lengthOf(value);
    encoded.writeInt32BE(value === null ? -1 : size, at);
    if (value !== null) write(encoded, value, at + 4);
    at += 4 + size;
  }
  return encoded;
}

const writeUuid = (into: Buffer, value: string, at: number) => into.write(value.replaceAll('-', ''), at, 'hex');
const writeBytes = (into: Buffer, value: Buffer, at: number) => into.set(value, at);
const writeText = (into: Buffer, value: string, at: number) => into.write(value, at);
const writeBoolean = (into: Buffer, value: boolean, at: number) => into.writeUInt8(value ? 1 : 0, at);
const writeInteger = (into: Buffer, value: number, at: number) => into.writeInt32BE(value, at);
const writeBigint = (into: Buffer, value: bigint, at: number) => into.writeBigInt64BE(value, at);
const writeFloat = (into: Buffer, value: number, at: number) => into.writeDoubleBE(value, at);
