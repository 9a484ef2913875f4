/** hipctl completion: scripts for shells, made from the commands themselves. */
import { Argument, type Command } from "commander";
import type { Io } from "../output.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** One command with all that may follow it. */
interface Node {
  /** `peer add` */
  readonly path: string;
  readonly description: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly { readonly flag: string; readonly description: string }[];
  /** Whether its first argument is a peer, or an identity. */
  readonly argument: "peer" | "identity" | undefined;
}

export function addCompletion(program: Command, io: Io): void {
  program
    .command("completion")
    .description("print a completion script: source <(hipctl completion bash)")
    .addArgument(new Argument("<shell>").choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      const nodes = walk(program, "");
      io.out({ bash: bashScript, zsh: zshScript, fish: fishScript }[shell](nodes));
    });
}

function walk(command: Command, path: string): readonly Node[] {
  const visible = command.commands.filter((each) => each.name() !== "help");
  const first = command.registeredArguments[0]?.name();
  const node: Node = {
    path,
    description: command.description(),
    commands: visible.map((each) => ({ name: each.name(), description: each.description() })),
    options: command.options
      .filter((option) => option.long !== undefined && !option.hidden)
      .map((option) => ({ flag: option.long as string, description: option.description })),
    argument: path !== "peer add" && (first === "peer" || first === "identity") ? first : undefined,
  };
  return [
    node,
    ...visible.flatMap((each) => walk(each, path === "" ? each.name() : `${path} ${each.name()}`)),
  ];
}

const NAMES = {
  peer: "hipctl peer list --names 2>/dev/null",
  identity: "hipctl identity list --names 2>/dev/null",
} as const;

function words(node: Node): string {
  return [
    ...node.commands.map(({ name }) => name),
    ...node.options.map(({ flag }) => flag),
    "--json",
    "--socket",
    "--help",
  ]
    .filter((word, i, all) => all.indexOf(word) === i)
    .join(" ");
}

function bashScript(nodes: readonly Node[]): string {
  const cases = nodes.map((node) => {
    const names = node.argument === undefined ? "" : ` $(${NAMES[node.argument]})`;
    return `    "${node.path}") words="${words(node)}${names}" ;;`;
  });
  return `# bash completion for hipctl
_hipctl() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" word known i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    known="$path\${path:+ }$word"
    case "|${nodes.map(({ path }) => path).join("|")}|" in
      *"|$known|"*) path="$known" ;;
    esac
  done
  case "\${COMP_WORDS[COMP_CWORD - 1]}" in
    --socket | --dir | --config | --out | --output | -o | import) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _hipctl hipctl
`;
}

function zshScript(nodes: readonly Node[]): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
  const cases = nodes.map((node) => {
    const entries = [
      ...node.commands.map(
        ({ name, description }) => `${quote(name).slice(0, -1)}:${quote(description).slice(1)}`,
      ),
      ...node.options.map(
        ({ flag, description }) => `${quote(flag).slice(0, -1)}:${quote(description).slice(1)}`,
      ),
    ];
    const names = node.argument === undefined ? "" : ` \${(f)"$(${NAMES[node.argument]})"}`;
    return `    "${node.path}") entries=(${entries.join(" ")}${names}) ;;`;
  });
  return `#compdef hipctl
_hipctl() {
  local where="" word known
  local -a entries
  for word in \${words[2,CURRENT-1]}; do
    known="$where\${where:+ }$word"
    case "|${nodes.map(({ path }) => path).join("|")}|" in
      *"|$known|"*) where="$known" ;;
    esac
  done
  case "$where" in
${cases.join("\n")}
  esac
  _describe hipctl entries
}
if [ "$funcstack[1]" = "_hipctl" ]; then _hipctl "$@"; else compdef _hipctl hipctl; fi
`;
}

function fishScript(nodes: readonly Node[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = nodes.flatMap((node) => {
    const condition = `-n ${quote(`__hipctl_at ${quote(node.path).slice(1, -1) || '""'}`)}`;
    return [
      ...node.commands.map(
        ({ name, description }) => `complete -c hipctl -f ${condition} -a ${name} -d ${quote(description)}`,
      ),
      ...node.options.map(
        ({ flag, description }) =>
          `complete -c hipctl ${condition} -l ${flag.slice(2)} -d ${quote(description)}`,
      ),
      ...(node.argument === undefined
        ? []
        : [`complete -c hipctl -f ${condition} -a ${quote(`(${NAMES[node.argument]})`)}`]),
    ];
  });
  return `# fish completion for hipctl
function __hipctl_at
  set -l path
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; and continue
    contains -- "$path $word" ${nodes.map(({ path }) => quote(` ${path}`)).join(" ")}; and set path "$path $word"
  end
  test (string trim -- "$path") = (string join " " $argv)
end
${lines.join("\n")}
`;
}
