/**
 * Words of a command line, split into options and the rest. Options begin with two dashes; a word
 * with one dash belongs to a query (`-limit 5`) or is a negative key. `--` ends the options.
 */
import { nearestName } from "../schema/nearest.ts";

/** An option that a command knows. */
export interface OptionSpec {
  /** What stands for its value in the usage; a switch has none. */
  readonly value?: string;
  readonly help: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The command line is wrong: exit status 2, with the usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What was given, by name. */
export class Arguments {
  /** Everything that is no option. */
  readonly words: readonly string[];
  readonly #values: ReadonlyMap<string, string>;

  constructor(words: readonly string[], values: ReadonlyMap<string, string>) {
    this.words = words;
    this.#values = values;
  }

  /** The value of an option. */
  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** Whether a switch was given. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The options that were given, of these names, as text; a switch is "". */
  given(names: Iterable<string>): Record<string, string> {
    const given: Record<string, string> = {};
    for (const name of names) {
      const value = this.#values.get(name);
      if (value !== undefined) given[name] = value;
    }
    return given;
  }

  /** The same over other values: what was given here counts. */
  over(values: Readonly<Record<string, string>>): Arguments {
    return new Arguments(this.words, new Map([...Object.entries(values), ...this.#values]));
  }

  /** The value of an option that is a whole number. **Throws** `UsageError`. */
  whole(name: string, min: number, max: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new UsageError(`--${name} is a whole number from ${min} to ${max}, not "${text}"`);
  }

  /** The value of an option that is one of some words. **Throws** `UsageError`. */
  oneOf<const C extends string>(name: string, choices: readonly C[]): C | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const choice = choices.find((each) => each === text);
    if (choice !== undefined) return choice;
    throw new UsageError(`--${name} is one of ${choices.join(", ")}, not "${text}"`);
  }
}

/**
 * Splits `argv`. An option given twice has its last value. **Throws** `UsageError` for an unknown
 * option, a missing value, or a value that a switch does not take.
 */
export function parseArguments(argv: readonly string[], specs: OptionSpecs): Arguments {
  const words: string[] = [];
  const values = new Map<string, string>();
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") {
      words.push(...argv.slice(at + 1));
      break;
    }
    if (!word.startsWith("--")) {
      words.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    if (spec === undefined) throw unknownOption(name, specs);
    if (spec.value === undefined) {
      if (equals >= 0) throw new UsageError(`--${name} takes no value`);
      values.set(name, "");
      continue;
    }
    const value = equals < 0 ? argv[++at] : word.slice(equals + 1);
    if (value === undefined) throw new UsageError(`--${name} needs a value: ${spec.value}`);
    values.set(name, value);
  }
  return new Arguments(words, values);
}

function unknownOption(name: string, specs: OptionSpecs): UsageError {
  const near = nearestName(name, Object.keys(specs));
  const hint = near === undefined ? "" : `; did you mean --${near}?`;
  return new UsageError(`there is no option --${name}${hint}`);
}
