import { escapeHtml } from '../../escape-html.ts';

/** A sentence as HTML. Text in backquotes becomes code. */
export function prose(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}

const tokens =
  /(?<c>(?<=^|\s)(?:\/\/.*|#.*)|<!--.*?-->)|(?<s>'[^'\n]*'|"[^"\n]*"|`[^`]*`)|(?<k><\/?[\w-]+|(?<!=)\/?>|\b(?:async|await|const|export|from|function|if|import|new|return)\b)/gm;

/** Marks comments, strings and keywords of HTML, JavaScript, JSON or shell. Returns HTML. */
export function paintCode(code: string): string {
  let painted = '';
  let end = 0;
  for (const match of code.matchAll(tokens)) {
    const kind = match.groups?.c ? 'c' : match.groups?.s ? 's' : 'k';
    painted += `${escapeHtml(code.slice(end, match.index))}<i class="${kind}">${escapeHtml(match[0])}</i>`;
    end = match.index + match[0].length;
  }
  return painted + escapeHtml(code.slice(end));
}
