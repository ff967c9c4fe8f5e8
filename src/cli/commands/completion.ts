/** `completion`: what a shell needs to complete command lines. */
import { UsageError } from "../arguments.ts";
import { type Command, commonOptions, done } from "../command.ts";

const shells = ["bash", "zsh", "fish"] as const;
type ShellName = (typeof shells)[number];

/** The words that are completed: commands, and after each its options. */
type Vocabulary = readonly (readonly [command: string, summary: string, options: string[]])[];

/** `completion` for these commands; they are loaded when it runs. */
export function completionOf(load: () => Promise<readonly Command[]>): Command {
  return {
    name: "completion",
    summary: "prints a completion script for bash, zsh or fish",
    synopsis: "bash|zsh|fish",
    options: {},
    notes: [
      "  source <(aerostore completion bash)",
      "  aerostore completion zsh > ~/.zfunc/_aerostore",
      "  aerostore completion fish > ~/.config/fish/completions/aerostore.fish",
    ],
    words: [1, 1],
    async run({ args, terminal }) {
      const [word] = args.words;
      const shell = shells.find((each) => each === word);
      if (shell === undefined)
        throw new UsageError(`a shell is ${shells.join(", ")}, not "${word}"`);
      const commands = await load();
      const words = commands.map(({ name, summary, options }) => {
        const names = Object.keys({ ...options, ...commonOptions }).map((each) => `--${each}`);
        return [name, summary, names] as const;
      });
      terminal.print(scriptOf(shell, words));
      return done;
    },
  };
}

function scriptOf(shell: ShellName, words: Vocabulary): string {
  const names = words.map(([name]) => name).join(" ");
  switch (shell) {
    case "bash":
      return [
        "_aerostore() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" choices=""',
        `  if [ "$COMP_CWORD" -eq 1 ]; then choices="${names} --help --version"; else`,
        '    case "${COMP_WORDS[1]}" in',
        ...words.map(([name, , options]) => `      ${name}) choices="${options.join(" ")}" ;;`),
        "    esac",
        "  fi",
        '  COMPREPLY=($(compgen -W "$choices" -- "$word"))',
        '  [ "${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))',
        "}",
        "complete -F _aerostore aerostore",
      ].join("\n");
    case "zsh":
      return [
        "#compdef aerostore",
        "_aerostore() {",
        "  local -a choices",
        "  if (( CURRENT == 2 )); then",
        "    choices=(",
        ...words.map(([name, summary]) => `      '${name}:${summary.replaceAll("'", "'\\''")}'`),
        "    )",
        "    _describe command choices",
        "    return",
        "  fi",
        "  case $words[2] in",
        ...words.map(([name, , options]) => `    ${name}) choices=(${options.join(" ")}) ;;`),
        "  esac",
        "  compadd -- $choices",
        "  _files",
        "}",
        'if [ "$funcstack[1]" = "_aerostore" ]; then _aerostore',
        "else compdef _aerostore aerostore; fi",
      ].join("\n");
    case "fish":
      return [
        ...words.map(([name, summary]) => {
          const text = summary.replaceAll("'", "\\'");
          return `complete -c aerostore -n __fish_use_subcommand -a ${name} -d '${text}'`;
        }),
        ...words.flatMap(([name, , options]) =>
          options.map((option) => {
            const from = `__fish_seen_subcommand_from ${name}`;
            return `complete -c aerostore -n '${from}' -l ${option.slice(2)}`;
          }),
        ),
      ].join("\n");
  }
}
