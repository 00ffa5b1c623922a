import type { CaptchaKind } from '../../captcha/kinds.ts';
import { escapeHtml } from '../../escape-html.ts';

/** What a snippet posts to. Without a slug: to the default form, whose captcha the script finds by itself. */
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

/** The HTML to paste into a page. It works without script, except for a captcha; `/form.js` adds comfort. */
export function formSnippet(publicUrl: string, form: SnippetForm): string {
  const required = new Set(form.requiredFields ?? []);
  const names = ['name', 'email', ...required].filter((name, index, all) => all.indexOf(name) === index);
  const fields = names
    .filter((name) => name !== 'message')
    .map((name) => {
      const { label, input } = known[name] ?? {
        label: escapeHtml(name),
        input: `<input name="${escapeHtml(name)}"`,
      };
      return `  <label>${label} ${input}${required.has(name) && name !== 'email' ? ' required' : ''}></label>`;
    });
  const { captcha } = form.effective;
  const proof = captcha === 'altcha' && form.slug ? ` data-captcha="${publicUrl}/api/captcha?form=${form.slug}"` : '';
  const widget = captcha === 'none' || captcha === 'altcha' ? [] : [`  <!-- here the widget of ${captcha} -->`];
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
