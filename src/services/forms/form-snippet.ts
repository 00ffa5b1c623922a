import type { CaptchaKind } from '../../captcha/kinds.ts';
import { escapeHtml } from '../../escape-html.ts';

/** The form that a snippet posts to. Without a slug it is the default form, and the script looks up its captcha. */
interface SnippetForm {
  slug?: string;
  address: string;
  requiredFields?: readonly string[] | null;
  effective: { captcha: CaptchaKind };
}

const known: Readonly<Record<string, { label: string; input: string }>> = {
  name: { label: 'Name', input: '<input name="name" autocomplete="name"' },
  subject: { label: 'Subject', input: '<input name="subject"' },
  email: { label: 'E-mail', input: '<input name="email" type="email" autocomplete="email" required' },
};

/** The HTML to paste into a page. Except for a captcha, it works without JavaScript. */
export function formSnippet(publicUrl: string, form: SnippetForm): string {
  const required = new Set(form.requiredFields ?? []);
  const names = new Set(['name', 'email', ...required]).difference(new Set(['message']));
  const fields = [...names].map((name) => {
    const text = escapeHtml(name);
    const { label, input } = known[name] ?? { label: text, input: `<input name="${text}"` };
    return `  <label>${label} ${input}${required.has(name) && name !== 'email' ? ' required' : ''}></label>`;
  });
  const { captcha } = form.effective;
  const proof = captcha === 'altcha' && form.slug ? ` data-captcha="${publicUrl}/api/captcha?form=${form.slug}"` : '';
  const widget = captcha === 'none' || captcha === 'altcha' ? [] : [`  <!-- put the widget of ${captcha} here -->`];
  return [
    `<form method="post" action="${form.address}" data-ruffinweb${proof}>`,
    ...fields,
    '  <label>Message <textarea name="message" rows="5" required></textarea></label>',
    ...widget,
    '  <button>Send message</button>',
    '</form>',
    `<script src="${publicUrl}/form.js" defer></script>`,
  ].join('\n');
}
