import type { EmailView, MessageView, SenderView } from '../../services/views.ts';

/** `a***@example.test`, for a screen that others can see. */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 1 ? '***' : `${firstOf(address)}***${address.slice(at)}`;
}

export function maskName(name: string): string {
  return `${firstOf(name)}***`;
}

/** Hides every address and link token in a text, and the words of the given name. */
export function maskText(text: string, name: string | null = null): string {
  // It begins only where a word begins: otherwise a long word would be read again from each of its letters.
  const masked = text.replace(/(?<![^\s<>()[\]"',:;@])[^\s<>()[\]"',:;@]+@[^\s<>()[\]"',:;@]+/g, maskAddress);
  const words = name?.split(/\s+/).filter((word) => word.length > 1) ?? [];
  return words.reduce(
    (it, word) => it.replace(wholeWord(word), maskName),
    masked.replace(/(?<=\?token=)[\w.-]+/g, '***'),
  );
}

/** Does the same in HTML of our mails, where spans split addresses so that mail programs make no links. */
export function maskHtml(html: string, name: string | null): string {
  return maskText(html.replace(/<span>([^<>])<\/span>/gu, '$1'), name);
}

function wholeWord(word: string): RegExp {
  const literal = word.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`, 'giu');
}

function firstOf(text: string): string {
  return [...text][0] ?? '';
}

export function maskSender<View extends Pick<SenderView, 'email'> & Partial<Pick<SenderView, 'name'>>>(
  view: View,
): View {
  const email = view.email && maskAddress(view.email);
  return { ...view, email, ...(view.name && { name: maskName(view.name) }) };
}

export function maskMessage<View extends MessageView>(view: View): View {
  const hide = (text: string) => maskText(text, view.name);
  return {
    ...view,
    email: view.email && maskAddress(view.email),
    name: view.name && maskName(view.name),
    subject: view.subject && hide(view.subject),
    message: view.message && hide(view.message),
    extra: view.extra && Object.fromEntries(Object.entries(view.extra).map(([field, text]) => [field, hide(text)])),
  };
}

export function maskEmail<View extends EmailView>(view: View): View {
  return { ...view, to: view.to && maskAddress(view.to) };
}

export function maskAttempt<View extends { reply: string | null }>(view: View): View {
  return { ...view, reply: view.reply && maskText(view.reply) };
}
