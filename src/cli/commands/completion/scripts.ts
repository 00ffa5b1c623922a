import type { CommandNode, OptionNode } from './command-tree.ts';

/** What prints the slugs of forms. Nothing in them has a meaning for a shell. */
const slugs = 'ruffinweb completion slugs 2>/dev/null </dev/null';

/** Scripts that contain the whole tree of commands: pressing TAB starts the program only for the slugs of forms. */
export const completionScripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

function bashScript(tree: readonly CommandNode[]): string {
  return `# Completion of ruffinweb for bash.
_ruffinweb() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} at='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${pathPatterns(tree)}) at="\${at:+$at }\${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$at $before" in
${eachValue(tree, (patterns, choices) => `    ${patterns}) ${choices === 'slugs' ? bashSlugs : bashReply(choices)}return ;;`)}
  esac
  case "$at" in
${tree
  .map(({ path, commands, choices, options, takesSlug }) => {
    const words = [...commands.map((it) => it.name), ...choices];
    const flags = options.flatMap((it) => it.flags.slice(0, 1));
    return `    ${quote(path)}) if [[ $word == -* ]]; then ${bashReply(flags)}else ${takesSlug ? bashSlugs : bashReply(words) || ':; '}fi ;;`;
  })
  .join('\n')}
  esac
}
complete -F _ruffinweb ruffinweb
`;
}

const bashSlugs = `mapfile -t COMPREPLY < <(compgen -W "$(${slugs})" -- "$word"); `;

function bashReply(words: readonly string[]): string {
  return words.length === 0 ? '' : `mapfile -t COMPREPLY < <(compgen -W ${quote(words.join(' '))} -- "$word"); `;
}

function zshScript(tree: readonly CommandNode[]): string {
  const described = (all: readonly (readonly [name: string, description: string])[]) =>
    all.map(([name, description]) => quote(`${name}:${description.replaceAll(':', '\\:')}`)).join(' ');
  return `#compdef ruffinweb
# Completion of ruffinweb for zsh.
_ruffinweb() {
  local at='' i
  local -a flags names
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      (${pathPatterns(tree)}) at="\${at:+$at }\${words[i]}" ;;
    esac
  done
  case "$at \${words[CURRENT - 1]}" in
${eachValue(tree, (patterns, choices) => `    (${patterns}) ${zshValues(choices)}; return ;;`)}
  esac
  case "$at" in
${tree
  .map(({ path, commands, choices, options, takesSlug }) => {
    const names = [
      ...commands.map((it) => [it.name, it.description] as const),
      ...choices.map((it) => [it, ''] as const),
    ];
    const flags = options.map((it) => [it.flags[0] ?? '', it.description] as const);
    const all = takesSlug ? zshSlugs : described(names);
    return `    (${quote(path)}) names=(${all}) flags=(${described(flags)}) ;;`;
  })
  .join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option flags
  elif (( $#names )); then
    _describe command names
  fi
}
if [[ $funcstack[1] == _ruffinweb ]]; then _ruffinweb "$@"; else compdef _ruffinweb ruffinweb; fi
`;
}

const zshSlugs = `\${(f)"$(${slugs})"}`;

function zshValues(choices: readonly string[] | 'slugs'): string {
  if (choices === 'slugs') return `compadd -- ${zshSlugs}`;
  return choices.length === 0 ? '_default' : `compadd -- ${choices.map(quote).join(' ')}`;
}

function fishScript(tree: readonly CommandNode[]): string {
  const paths = tree.filter((it) => it.path !== '').map((it) => fishQuote(it.path));
  const lines = tree.flatMap(({ path, commands, choices, options, takesSlug }) => {
    const here = `complete -c ruffinweb -n ${fishQuote(`__ruffinweb_at ${fishQuote(path)}`)}`;
    return [
      ...commands.map((it) => `${here} -a ${fishQuote(it.name)} -d ${fishQuote(it.description)}`),
      ...(choices.length === 0 ? [] : [`${here} -a ${fishQuote(choices.join(' '))}`]),
      ...(takesSlug ? [`${here} -a '(${slugs})'`] : []),
      ...options.map((it) => {
        const [long = '', short] = it.flags;
        const value = !it.takesValue
          ? ''
          : it.takesSlug
            ? ` -x -a '(${slugs})'`
            : it.choices.length === 0
              ? ' -r'
              : ` -x -a ${fishQuote(it.choices.join(' '))}`;
        const shortFlag = short === undefined ? '' : ` -s ${short.slice(1)}`;
        return `${here} -l ${long.slice(2)}${shortFlag}${value} -d ${fishQuote(it.description)}`;
      }),
    ];
  });
  return `# Completion of ruffinweb for fish.
function __ruffinweb_at
  set -l at ''
  set -l words (commandline -opc)
  for word in $words[2..-1]
    set -l next (string trim "$at $word")
    if contains -- $next ${paths.join(' ')}
      set at $next
    end
  end
  test "$at" = "$argv[1]"
end
complete -c ruffinweb -f
${lines.join('\n')}
`;
}

/** Patterns of the words so far and the next command's name: ` emails`, `emails list`. */
function pathPatterns(tree: readonly CommandNode[]): string {
  return tree
    .filter((it) => it.path !== '')
    .map(({ path }) => quote(path.includes(' ') ? path : ` ${path}`))
    .join(' | ');
}

/** One branch for each option with choices, one for all that take a slug, and one for all others that take a value. */
function eachValue(
  tree: readonly CommandNode[],
  branch: (patterns: string, choices: readonly string[] | 'slugs') => string,
): string {
  const all = tree.flatMap(({ path, options }) => options.filter((it) => it.takesValue).map((it) => ({ path, it })));
  const patternOf = ({ path, it }: { path: string; it: OptionNode }) =>
    it.flags.map((flag) => quote(`${path} ${flag}`)).join(' | ');
  const free = all.filter(({ it }) => it.choices.length === 0 && !it.takesSlug);
  const slugged = all.filter(({ it }) => it.takesSlug);
  return [
    ...all.filter(({ it }) => it.choices.length > 0).map((one) => branch(patternOf(one), one.it.choices)),
    ...(slugged.length === 0 ? [] : [branch(slugged.map(patternOf).join(' | '), 'slugs')]),
    ...(free.length === 0 ? [] : [branch(free.map(patternOf).join(' | '), [])]),
  ].join('\n');
}

/** For bash and zsh, which have no escapes between single quotes. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
