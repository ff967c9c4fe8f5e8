/**
 * Plans as the bytes that the engine executes; the format is that of docs/internals/query.md.
 * Parameters have a fixed place in them: binding writes there and nowhere else.
 */
import { AerostoreError } from "../../errors.ts";
import {
  searchFormat,
  SearchArmKind,
  SearchOperator,
  SearchPosition,
} from "../../ffi/constants.gen.ts";
import { layouts } from "../../ffi/layouts.gen.ts";
import { getField, putField } from "../../ffi/struct.ts";
import { nearestName } from "../../schema/nearest.ts";
import { isBytes } from "../../schema/plain-value.ts";
import { describeValue } from "../../schema/value.ts";
import { halvesOf } from "../resolve/index-key.ts";
import { holdsInteger, invalidValue, patternOf, placeOf } from "../resolve/bound.ts";
import type { Place, Stored } from "../resolve/bound.ts";
import { fractionHalves, functionCode, keyCode } from "./aggregate.ts";
import { type AfterColumn, checkNull } from "./after.ts";
import type { Plan } from "./planner.ts";
import type { PlannerColumn, PlannerTable } from "../resolve/planner-table.ts";
import type { Count, RawValue } from "../query.ts";
import { wholeNumber } from "../parse/stapi.ts";
import type { Bound, Term, TermOperand } from "../resolve/term.ts";

/** Where a parameter is written. Offsets are bytes from the start of the plan. */
export type ParameterSlot =
  | {
      readonly kind: "value" | "pattern" | "after";
      readonly name: string;
      readonly column: PlannerColumn;
      readonly operandOffset: number;
      /** Offset and room of its text; 0 for columns of fixed size. */
      readonly textOffset: number;
      readonly textSizeMax: number;
      /** Offset of the record that says whether a value of `-after` is null. */
      readonly recordOffset: number;
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

const header = layouts.SearchPlan.fields;
const headerSize = layouts.SearchPlan.size;
const armFields = layouts.SearchArm.fields;
const armSize = layouts.SearchArm.size;
const groupSize = layouts.SearchGroup.size;
const sortFields = layouts.SearchSort.fields;
const sortSize = layouts.SearchSort.size;
const guardFields = layouts.SearchGuard.fields;
const guardSize = layouts.SearchGuard.size;
const afterFields = layouts.SearchAfter.fields;
const afterSize = layouts.SearchAfter.size;
const keyLayout = layouts.SearchGroupKey;
const selectLayout = layouts.SearchSelect;
const clauseFields = layouts.SearchClause.fields;
const clauseSize = layouts.SearchClause.size;
const operandSize = layouts.SearchOperand.size;
const positionAt = layouts.SearchOperand.fields.position.offset;
const textSizeAt = layouts.SearchOperand.fields.size.offset;
const valueAt = layouts.SearchOperand.fields.value.offset;

const operators: Readonly<Record<Term["kind"], SearchOperator>> = {
  equal: SearchOperator.equal,
  differ: SearchOperator.differ,
  between: SearchOperator.between,
  member: SearchOperator.member,
  null: SearchOperator.null,
  notNull: SearchOperator.not_null,
  like: SearchOperator.like,
  unlike: SearchOperator.unlike,
};
const positions: Readonly<Record<Place["kind"], SearchPosition>> = {
  at: SearchPosition.at,
  above: SearchPosition.above,
  belowAll: SearchPosition.below_all,
};

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
  const guardsAt =
    headerSize +
    arms.length * armSize +
    plan.groups.length * groupSize +
    plan.order.length * sortSize;
  const operands = plan.after.map((each) => writer.addAfter(each));
  const aftersAt = guardsAt + guards.length * guardSize;
  const { keys, selects } = plan.aggregation ?? { keys: [], selects: [] };
  const keysAt = aftersAt + plan.after.length * afterSize;
  const head = keysAt + keys.length * keyLayout.size + selects.length * selectLayout.size;
  const { view, slots } = writer.finish(head, aftersAt, plan);
  const { buffer } = view;
  let at = headerSize;
  for (const arm of arms) {
    putField(view, at, armFields.kind, SearchArmKind[arm.kind]);
    putField(view, at, armFields.column, arm.column?.position ?? 0);
    putField(view, at, armFields.clause_count, arm.clauses.length);
    at += armSize;
  }
  for (const group of plan.groups) {
    putField(view, at, layouts.SearchGroup.fields.clause_count, group.length);
    at += groupSize;
  }
  for (const { column, descending } of plan.order) {
    putField(view, at, sortFields.column, column.position);
    putField(view, at, sortFields.flags, descending ? searchFormat.sortDescending : 0);
    at += sortSize;
  }
  for (const { clause, low, high } of guards) {
    putField(view, at, guardFields.clause, clause);
    putField(view, at, guardFields.low, low);
    putField(view, at, guardFields.high, high);
    at += guardSize;
  }
  for (const [index, { column, descending, operand }] of plan.after.entries()) {
    const isNull = operand === null ? searchFormat.afterNull : 0;
    putField(view, at, afterFields.column, column.position);
    putField(
      view,
      at,
      afterFields.flags,
      descending ? isNull | searchFormat.afterDescending : isNull,
    );
    putField(view, at, afterFields.operand, operands[index] ?? 0);
    at += afterSize;
  }
  for (const key of keys) {
    putField(view, at, keyLayout.fields.kind, keyCode(key));
    putField(view, at, keyLayout.fields.column, key.column.position);
    if (key.kind === "cell") putField(view, at, keyLayout.fields.second, key.second.position);
    if (key.kind !== "column") writeWide(view, at + keyLayout.fields.size.offset, ...key.size);
    at += keyLayout.size;
  }
  for (const select of selects) {
    putField(view, at, selectLayout.fields.function, functionCode(select));
    putField(view, at, selectLayout.fields.column, select.column.position);
    writeWide(view, at + selectLayout.fields.parameter.offset, ...fractionHalves(select));
    at += selectLayout.size;
  }
  putField(view, 0, header.key_count, keys.length);
  putField(view, 0, header.select_count, selects.length);
  putField(view, 0, header.after_count, plan.after.length);
  putField(view, 0, header.arm_count, arms.length);
  putField(view, 0, header.guard_count, guards.length);
  writeHeader(view, plan);
  const bytes = new Uint8Array(buffer, 0, view.byteLength);
  const words = new Uint32Array(buffer);
  return { bytes, view, words, table: plan.table, slots, names: plan.parameters };
}

/** Asks the engine to tell where the time of the plan goes. */
export function measurePlan({ view }: EncodedPlan): void {
  const flags = getField(view, 0, header.flags) | searchFormat.flagMeasured;
  putField(view, 0, header.flags, flags);
}

/** Makes the engine run the plan whatever the rows of its terms. */
export function dropGuards({ view }: EncodedPlan): void {
  const count = getField(view, 0, header.guard_count);
  let at =
    headerSize +
    getField(view, 0, header.arm_count) * armSize +
    getField(view, 0, header.group_count) * groupSize +
    getField(view, 0, header.sort_count) * sortSize;
  for (let guard = 0; guard < count; guard++) {
    putField(view, at, guardFields.low, 0);
    writeWide(view, at + guardFields.high.offset, 0xffff_ffff, 0xffff_ffff);
    at += guardSize;
  }
}

/** All of the header but the counts of arms and clauses. */
function writeHeader(view: DataView<ArrayBuffer>, plan: Plan): void {
  let flags = 0;
  if (plan.countOnly) flags |= searchFormat.flagCountOnly;
  if (plan.walk) flags |= searchFormat.flagWalk;
  if (plan.keyDescending) flags |= searchFormat.flagKeyDescending;
  if (plan.fields.some(({ position }) => position === 0)) flags |= searchFormat.flagProjectKey;
  putField(view, 0, header.magic, searchFormat.magic);
  putField(view, 0, header.version, searchFormat.version);
  putField(view, 0, header.flags, flags);
  putField(view, 0, header.size, view.byteLength);
  putField(view, 0, header.image_size, plan.table.imageSize);
  putField(view, 0, header.column_count, plan.table.columns.length);
  putField(view, 0, header.group_count, plan.groups.length);
  putField(view, 0, header.sort_count, plan.order.length);
  putField(view, 0, header.residual_count, plan.residual.length);
  if (plan.offset.kind === "count") putField(view, 0, header.offset, plan.offset.count);
  if (plan.limit.kind === "count") putField(view, 0, header.limit, plan.limit.count);
  for (const { position } of plan.fields) {
    if (position === 0) continue;
    const half = header.projection.offset + ((position - 1) >> 5) * 4;
    view.setUint32(half, view.getUint32(half, true) | (1 << ((position - 1) & 31)), true);
  }
}

/** Flags of a clause about one of its bounds. */
interface BoundFlags {
  readonly has: number;
  readonly inclusive: number;
}

const lowFlags: BoundFlags = {
  has: searchFormat.clauseHasLow,
  inclusive: searchFormat.clauseLowInclusive,
};
const highFlags: BoundFlags = {
  has: searchFormat.clauseHasHigh,
  inclusive: searchFormat.clauseHighInclusive,
};

interface WrittenOperand {
  readonly column: PlannerColumn;
  readonly operand: TermOperand;
  readonly isPattern: boolean;
  /** Its place in `-after`, if it has one. */
  readonly after?: number;
}

/** Collects clauses and operands, then lays them out. */
class Writer {
  readonly #clauses: { term: Term; flags: number; first: number; count: number }[] = [];
  readonly #operands: WrittenOperand[] = [];
  #afterCount = 0;

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
        flags = this.#addBound(term.column, term.low, lowFlags);
        flags |= this.#addBound(term.column, term.high, highFlags);
        break;
      case "member":
        for (const operand of term.operands) this.#addOperand(term.column, operand);
        break;
      case "like":
      case "unlike":
        flags = term.fold ? searchFormat.clauseFold : 0;
        this.#operands.push({ column: term.column, operand: term.pattern, isPattern: true });
        break;
      case "null":
      case "notNull":
        break;
    }
    this.#clauses.push({ term, flags, first, count: this.#operands.length - first });
  }

  /** The number of the operand of a value of `-after`. */
  addAfter({ column, operand }: AfterColumn): number {
    const value = operand ?? { kind: "constant", value: isText(column) ? new Uint8Array(0) : 0 };
    const after = this.#afterCount++;
    return this.#operands.push({ column, operand: value, isPattern: false, after }) - 1;
  }

  #addOperand(column: PlannerColumn, operand: TermOperand): void {
    this.#operands.push({ column, operand, isPattern: false });
  }

  #addBound(
    column: PlannerColumn,
    bound: Bound | undefined,
    { has, inclusive }: BoundFlags,
  ): number {
    if (bound === undefined) return 0;
    this.#addOperand(column, bound.operand);
    return bound.inclusive ? has | inclusive : has;
  }

  /** Writes clauses, operands and text behind `head` bytes, with their counts in the header. */
  finish(
    head: number,
    aftersAt: number,
    plan: Plan,
  ): { readonly view: DataView<ArrayBuffer>; readonly slots: readonly ParameterSlot[] } {
    const operandsAt = head + this.#clauses.length * clauseSize;
    const textAt = operandsAt + this.#operands.length * operandSize;
    let textSize = 0;
    for (const each of this.#operands) textSize += textRoom(each);
    const { sizeMax, groupCountMax } = searchFormat;
    if (textAt + textSize > sizeMax || plan.groups.length > groupCountMax) {
      throw new AerostoreError(
        "PARSE_ERROR",
        `this query is too large: its plan takes ${textAt + textSize} bytes and has ` +
          `${plan.groups.length} groups; at most ${sizeMax} and ${groupCountMax} are possible`,
        { table: plan.table.name },
      );
    }
    const size = textAt + textSize;
    const view = new DataView(new ArrayBuffer(Math.ceil(size / 4) * 4), 0, size);
    putField(view, 0, header.clause_count, this.#clauses.length);
    putField(view, 0, header.operand_count, this.#operands.length);
    putField(view, 0, header.text_size, textSize);

    let at = head;
    for (const { term, flags, first, count } of this.#clauses) {
      putField(view, at, clauseFields.operator, operators[term.kind]);
      putField(view, at, clauseFields.flags, flags);
      putField(view, at, clauseFields.column, term.column.position);
      putField(view, at, clauseFields.operand_first, first);
      putField(view, at, clauseFields.operand_count, count);
      at += clauseSize;
    }
    const slots: ParameterSlot[] = countSlots(plan.offset, plan.limit);
    let textOffset = textAt;
    for (const each of this.#operands) {
      const { column, operand, isPattern, after } = each;
      const room = textRoom(each);
      if (room > 0 || isText(column)) writeWide(view, at + valueAt, textOffset - textAt, 0);
      if (operand.kind === "constant") {
        writeStored(view, at, textOffset, column, operand.value);
      } else {
        slots.push({
          kind: after !== undefined ? "after" : isPattern ? "pattern" : "value",
          name: operand.name,
          column,
          operandOffset: at,
          textOffset,
          textSizeMax: room,
          recordOffset: aftersAt + (after ?? 0) * afterSize,
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
  if (operand.kind === "parameter") return isPattern ? searchFormat.patternSizeMax : column.limit;
  return operand.value instanceof Uint8Array ? operand.value.length : 0;
}

function countSlots(offset: Count, limit: Count): ParameterSlot[] {
  const slots: ParameterSlot[] = [];
  if (offset.kind === "parameter") {
    slots.push({ kind: "offset", name: offset.name, countOffset: header.offset.offset });
  }
  if (limit.kind === "parameter") {
    slots.push({ kind: "limit", name: limit.name, countOffset: header.limit.offset });
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
  if (slot.kind === "after") {
    const flags = getField(view, slot.recordOffset, afterFields.flags) & ~searchFormat.afterNull;
    const isNull = given === null || (given === "" && !isText(column));
    const bound = isNull ? flags | searchFormat.afterNull : flags;
    putField(view, slot.recordOffset, afterFields.flags, bound);
    if (isNull) return checkNull(table, column);
  }
  if (typeof given === "string" && isText(column)) {
    const size = writeAscii(bytes, textOffset, slot.textSizeMax, given);
    if (size >= 0) {
      view.setUint8(operandOffset + positionAt, SearchPosition.at);
      view.setUint32(operandOffset + textSizeAt, size, true);
      return;
    }
  }
  if (typeof given === "number" && Number.isSafeInteger(given) && holdsInteger(column, given)) {
    view.setUint8(operandOffset + positionAt, SearchPosition.at);
    writeWide(view, operandOffset + valueAt, given >>> 0, Math.floor(given / 4_294_967_296) >>> 0);
    return;
  }
  const value = rawValue(table, slot, given);
  if (slot.kind === "pattern") {
    const pattern = patternOf(table, column, value);
    bytes.set(pattern, textOffset);
    view.setUint32(operandOffset + textSizeAt, pattern.length, true);
    return;
  }
  const place: Place = placeOf(table, column, value);
  if (slot.kind === "after" && place.kind !== "at") {
    throw invalidValue(table, column, value, "a value that the column can hold");
  }
  view.setUint8(operandOffset + positionAt, positions[place.kind]);
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
    view.setUint32(operandOffset + textSizeAt, value.length, true);
    return;
  }
  const [low, high] = halvesOf(column, value);
  writeWide(view, operandOffset + valueAt, low, high);
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
