/**
 * Plans as the bytes that the engine executes; the format is that of docs/internals/query.md.
 * Parameters have a fixed place in them: binding writes there and nowhere else.
 */
import { AerostoreError } from "../../errors.ts";
import { nearestName } from "../../schema/nearest.ts";
import { isBytes } from "../../schema/plain-value.ts";
import { describeValue } from "../../schema/value.ts";
import { halvesOf } from "../resolve/index-key.ts";
import { holdsInteger, patternOf, patternSizeMax, placeOf } from "../resolve/bound.ts";
import type { Place, Stored } from "../resolve/bound.ts";
import type { Plan } from "./planner.ts";
import type { PlannerColumn, PlannerTable } from "../resolve/planner-table.ts";
import type { Count, RawValue } from "../query.ts";
import { wholeNumber } from "../parse/stapi.ts";
import type { Bound, Term, TermOperand } from "../resolve/term.ts";

/** Where a parameter is written. Offsets are bytes from the start of the plan. */
export type ParameterSlot =
  | {
      readonly kind: "value" | "pattern";
      readonly name: string;
      readonly column: PlannerColumn;
      readonly operandOffset: number;
      /** Offset and room of its text; 0 for columns of fixed size. */
      readonly textOffset: number;
      readonly textSizeMax: number;
    }
  | { readonly kind: "limit" | "offset"; readonly name: string; readonly countOffset: number };

/** A plan ready to run, once its parameters are bound. */
export interface EncodedPlan {
  /** Over an explicit `ArrayBuffer`, so that native code may be given its address. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** The same, with zeros up to a whole word. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly table: PlannerTable;
  readonly slots: readonly ParameterSlot[];
  /** Names of the query's parameters, also of those that have no place in the plan. */
  readonly names: ReadonlySet<string>;
}

/** Values of parameters by name, without `$`. */
export type Parameters = Readonly<Record<string, unknown>>;

const magic = 0x5051_4541;
const version = 2;
const headerSize = 80;
const guardSize = 24;
const operandSize = 16;
const clauseSize = 16;
const recordSize = 8;
const offsetAt = 40;
const limitAt = 48;
const guardCountAt = 64;
/** The engine takes no more bytes, and counts no more groups. */
const planSizeMax = 64 * 1024 * 1024;
const groupsMax = 65_535;

const headerFlags = {
  countOnly: 1,
  walk: 2,
  keyDescending: 4,
  projectKey: 8,
  measured: 16,
} as const;
const flagsAt = 6;
const armKinds = { scan: 1, key: 2, index: 3 } as const;
const operators = {
  equal: 1,
  differ: 2,
  between: 3,
  member: 4,
  null: 5,
  notNull: 6,
  like: 7,
  unlike: 8,
} as const;
const boundFlags = { low: 1, high: 2, lowInclusive: 4, highInclusive: 8 } as const;
const foldFlag = 16;
const positions = { at: 0, above: 1, belowAll: 2 } as const;

/** Encodes `plan`. Linear in its size. **Throws** `PARSE_ERROR` for what is too large. */
export function encodePlan(plan: Plan): EncodedPlan {
  const writer = new Writer();
  const { route } = plan;
  const arms =
    route.kind === "arms"
      ? route.arms
      : route.kind === "scan"
        ? [{ kind: "scan", column: undefined, clauses: [] } as const]
        : [];
  for (const arm of arms) writer.addClauses(arm.clauses);
  writer.addClauses(plan.residual);
  for (const group of plan.groups) writer.addClauses(group);

  const guards = plan.reach.guards.flatMap(({ term, low, high }) => {
    const clause = writer.indexOf(term);
    return clause < 0 ? [] : [{ clause, low, high }];
  });
  const records = arms.length + plan.groups.length + plan.order.length;
  const head = records * recordSize + guards.length * guardSize;
  const { view, slots } = writer.finish(headerSize + head, plan);
  const { buffer } = view;
  let at = headerSize;
  for (const arm of arms) {
    view.setUint8(at, armKinds[arm.kind]);
    view.setUint16(at + 2, arm.column?.position ?? 0, true);
    view.setUint32(at + 4, arm.clauses.length, true);
    at += recordSize;
  }
  for (const group of plan.groups) {
    view.setUint32(at, group.length, true);
    at += recordSize;
  }
  for (const { column, descending } of plan.order) {
    view.setUint16(at, column.position, true);
    view.setUint16(at + 2, descending ? 1 : 0, true);
    at += recordSize;
  }
  for (const { clause, low, high } of guards) {
    view.setUint32(at, clause, true);
    writeCount(view, at + 8, low);
    writeCount(view, at + 16, high);
    at += guardSize;
  }
  view.setUint16(18, arms.length, true);
  view.setUint16(guardCountAt, guards.length, true);
  writeHeader(view, plan);
  const bytes = new Uint8Array(buffer, 0, view.byteLength);
  const words = new Uint32Array(buffer);
  return { bytes, view, words, table: plan.table, slots, names: plan.parameters };
}

/** Asks the engine to tell where the time of the plan goes. */
export function measurePlan({ view }: EncodedPlan): void {
  view.setUint16(flagsAt, view.getUint16(flagsAt, true) | headerFlags.measured, true);
}

/** Makes the engine run the plan whatever the rows of its terms. */
export function dropGuards({ view }: EncodedPlan): void {
  const count = view.getUint16(guardCountAt, true);
  const at =
    headerSize +
    recordSize * (view.getUint16(18, true) + view.getUint16(20, true) + view.getUint16(22, true));
  for (let guard = 0; guard < count; guard++) {
    writeWide(view, at + guard * guardSize + 8, 0, 0);
    writeWide(view, at + guard * guardSize + 16, 0xffff_ffff, 0xffff_ffff);
  }
}

/** All of the header but the counts of arms and clauses. */
function writeHeader(view: DataView<ArrayBuffer>, plan: Plan): void {
  let flags = 0;
  if (plan.countOnly) flags |= headerFlags.countOnly;
  if (plan.walk) flags |= headerFlags.walk;
  if (plan.keyDescending) flags |= headerFlags.keyDescending;
  if (plan.fields.some(({ position }) => position === 0)) flags |= headerFlags.projectKey;
  view.setUint32(0, magic, true);
  view.setUint16(4, version, true);
  view.setUint16(flagsAt, flags, true);
  view.setUint32(8, view.byteLength, true);
  view.setUint32(12, plan.table.imageSize, true);
  view.setUint16(16, plan.table.columns.length, true);
  view.setUint16(20, plan.groups.length, true);
  view.setUint16(22, plan.order.length, true);
  view.setUint32(28, plan.residual.length, true);
  if (plan.offset.kind === "count") writeCount(view, offsetAt, plan.offset.count);
  if (plan.limit.kind === "count") writeCount(view, limitAt, plan.limit.count);
  for (const { position } of plan.fields) {
    if (position === 0) continue;
    const half = 56 + ((position - 1) >> 5) * 4;
    view.setUint32(half, view.getUint32(half, true) | (1 << ((position - 1) & 31)), true);
  }
}

/** Collects clauses and operands, then lays them out. */
class Writer {
  readonly #clauses: { term: Term; flags: number; first: number; count: number }[] = [];
  readonly #operands: { column: PlannerColumn; operand: TermOperand; isPattern: boolean }[] = [];

  addClauses(terms: readonly Term[]): void {
    for (const term of terms) this.#addClause(term);
  }

  /** Where the clause of a term is; negative where it has none. */
  indexOf(term: Term): number {
    return this.#clauses.findIndex((clause) => clause.term === term);
  }

  #addClause(term: Term): void {
    const first = this.#operands.length;
    let flags = 0;
    switch (term.kind) {
      case "equal":
      case "differ":
        this.#addOperand(term.column, term.operand);
        break;
      case "between":
        flags = this.#addBound(term.column, term.low, boundFlags.low, boundFlags.lowInclusive);
        flags |= this.#addBound(term.column, term.high, boundFlags.high, boundFlags.highInclusive);
        break;
      case "member":
        for (const operand of term.operands) this.#addOperand(term.column, operand);
        break;
      case "like":
      case "unlike":
        flags = term.fold ? foldFlag : 0;
        this.#operands.push({ column: term.column, operand: term.pattern, isPattern: true });
        break;
      case "null":
      case "notNull":
        break;
    }
    this.#clauses.push({ term, flags, first, count: this.#operands.length - first });
  }

  #addOperand(column: PlannerColumn, operand: TermOperand): void {
    this.#operands.push({ column, operand, isPattern: false });
  }

  #addBound(
    column: PlannerColumn,
    bound: Bound | undefined,
    has: number,
    inclusive: number,
  ): number {
    if (bound === undefined) return 0;
    this.#addOperand(column, bound.operand);
    return bound.inclusive ? has | inclusive : has;
  }

  /** Writes clauses, operands and text behind `head` bytes, with their counts in the header. */
  finish(
    head: number,
    plan: Plan,
  ): { readonly view: DataView<ArrayBuffer>; readonly slots: readonly ParameterSlot[] } {
    const operandsAt = head + this.#clauses.length * clauseSize;
    const textAt = operandsAt + this.#operands.length * operandSize;
    let textSize = 0;
    for (const each of this.#operands) textSize += textRoom(each);
    if (textAt + textSize > planSizeMax || plan.groups.length > groupsMax) {
      throw new AerostoreError(
        "PARSE_ERROR",
        `this query is too large: its plan takes ${textAt + textSize} bytes and has ` +
          `${plan.groups.length} groups; at most ${planSizeMax} and ${groupsMax} are possible`,
        { table: plan.table.name },
      );
    }
    const size = textAt + textSize;
    const view = new DataView(new ArrayBuffer(Math.ceil(size / 4) * 4), 0, size);
    view.setUint32(24, this.#clauses.length, true);
    view.setUint32(32, this.#operands.length, true);
    view.setUint32(36, textSize, true);

    let at = head;
    for (const { term, flags, first, count } of this.#clauses) {
      view.setUint8(at, operators[term.kind]);
      view.setUint8(at + 1, flags);
      view.setUint16(at + 2, term.column.position, true);
      view.setUint32(at + 4, first, true);
      view.setUint32(at + 8, count, true);
      at += clauseSize;
    }
    const slots: ParameterSlot[] = countSlots(plan.offset, plan.limit);
    let textOffset = textAt;
    for (const each of this.#operands) {
      const { column, operand, isPattern } = each;
      const room = textRoom(each);
      if (room > 0 || isText(column)) writeWide(view, at + 8, textOffset - textAt, 0);
      if (operand.kind === "constant") {
        writeStored(view, at, textOffset, column, operand.value);
      } else {
        slots.push({
          kind: isPattern ? "pattern" : "value",
          name: operand.name,
          column,
          operandOffset: at,
          textOffset,
          textSizeMax: room,
        });
      }
      at += operandSize;
      textOffset += room;
    }
    return { view, slots };
  }
}

/** Bytes kept in the text section: what a constant takes, what a parameter may take. */
function textRoom(each: {
  readonly column: PlannerColumn;
  readonly operand: TermOperand;
  readonly isPattern: boolean;
}): number {
  const { column, operand, isPattern } = each;
  if (!isText(column)) return 0;
  if (operand.kind === "parameter") return isPattern ? patternSizeMax : column.limit;
  return operand.value instanceof Uint8Array ? operand.value.length : 0;
}

function countSlots(offset: Count, limit: Count): ParameterSlot[] {
  const slots: ParameterSlot[] = [];
  if (offset.kind === "parameter") {
    slots.push({ kind: "offset", name: offset.name, countOffset: offsetAt });
  }
  if (limit.kind === "parameter") {
    slots.push({ kind: "limit", name: limit.name, countOffset: limitAt });
  }
  return slots;
}

/**
 * Writes the values of all parameters into the plan's bytes.
 *
 * **Throws** `INVALID_VALUE` for a value that is missing, unknown, or does not fit its column; the
 * plan must be bound again then.
 */
export function bindParameters(encoded: EncodedPlan, parameters: Parameters): void {
  for (const name in parameters) {
    if (!encoded.names.has(name)) throw unknownParameter(encoded, name);
  }
  for (const slot of encoded.slots) {
    const value = parameters[slot.name];
    if (value === undefined) {
      throw new AerostoreError("INVALID_VALUE", `the parameter $${slot.name} has no value`, {
        table: encoded.table.name,
      });
    }
    bindSlot(encoded, slot, value);
  }
}

function bindSlot({ view, bytes, table }: EncodedPlan, slot: ParameterSlot, given: unknown): void {
  if ("countOffset" in slot) {
    const count = wholeNumber(given);
    if (count === undefined) {
      throw new AerostoreError(
        "INVALID_VALUE",
        `the ${slot.kind} $${slot.name} is a whole number from 0, not ${describeValue(given)}`,
        { table: table.name, value: given },
      );
    }
    writeCount(view, slot.countOffset, count);
    return;
  }
  const { column, operandOffset, textOffset } = slot;
  if (typeof given === "string" && isText(column)) {
    const size = writeAscii(bytes, textOffset, slot.textSizeMax, given);
    if (size >= 0) {
      view.setUint8(operandOffset, positions.at);
      view.setUint32(operandOffset + 4, size, true);
      return;
    }
  }
  if (typeof given === "number" && Number.isSafeInteger(given) && holdsInteger(column, given)) {
    view.setUint8(operandOffset, positions.at);
    writeWide(view, operandOffset + 8, given >>> 0, Math.floor(given / 4_294_967_296) >>> 0);
    return;
  }
  const value = rawValue(table, slot, given);
  if (slot.kind === "pattern") {
    const pattern = patternOf(table, column, value);
    bytes.set(pattern, textOffset);
    view.setUint32(operandOffset + 4, pattern.length, true);
    return;
  }
  const place: Place = placeOf(table, column, value);
  view.setUint8(operandOffset, positions[place.kind]);
  if (place.kind !== "belowAll") writeStored(view, operandOffset, textOffset, column, place.value);
}

/** Texts up to this length are written character by character. */
const asciiSizeMax = 64;

/** Writes `text` and gives its size; negative where it is long or not all ASCII. */
function writeAscii(bytes: Uint8Array, at: number, room: number, text: string): number {
  const size = text.length;
  if (size > room || size > asciiSizeMax) return -1;
  for (let index = 0; index < size; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return -1;
    bytes[at + index] = code;
  }
  return size;
}

function rawValue(
  table: PlannerTable,
  { name, column }: { readonly name: string; readonly column: PlannerColumn },
  given: unknown,
): RawValue {
  switch (typeof given) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return given;
    default:
      if (isBytes(given)) return given;
  }
  const hint = given === null ? "; use the operators null and notnull" : "";
  throw new AerostoreError(
    "INVALID_VALUE",
    `$${name} for ${table.name}.${column.name} cannot be ${describeValue(given)}${hint}`,
    { table: table.name, column: column.name, value: given },
  );
}

function unknownParameter(encoded: EncodedPlan, name: string): AerostoreError {
  const near = nearestName(name, encoded.names);
  const hint = near === undefined ? "" : `; did you mean $${near}?`;
  return new AerostoreError("INVALID_VALUE", `the query has no parameter $${name}${hint}`, {
    table: encoded.table.name,
  });
}

/** Writes an operand's value, and its text at `textOffset`. */
function writeStored(
  view: DataView<ArrayBuffer>,
  operandOffset: number,
  textOffset: number,
  column: PlannerColumn,
  value: Stored,
): void {
  if (value instanceof Uint8Array) {
    new Uint8Array(view.buffer, textOffset, value.length).set(value);
    view.setUint32(operandOffset + 4, value.length, true);
    return;
  }
  const [low, high] = halvesOf(column, value);
  writeWide(view, operandOffset + 8, low, high);
}

function writeCount(view: DataView<ArrayBuffer>, at: number, count: number): void {
  writeWide(view, at, count >>> 0, Math.floor(count / 4_294_967_296));
}

function writeWide(view: DataView<ArrayBuffer>, at: number, low: number, high: number): void {
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
}

function isText(column: PlannerColumn): boolean {
  return column.kind === "string" || column.kind === "bytes";
}
