import type { CaptchaKind } from '../../captcha/kinds.ts';
import { formSnippet, type SnippetSettings } from '../../services/forms/form-snippet.ts';
import { fetchSnippet, reactSnippet } from '../../services/forms/script-snippets.ts';

/** Examples to copy from the landing page. Each works with this server's address, and its default captcha. */
export function snippets(settings: SnippetSettings) {
  const { kind } = settings.captcha;
  const form = { address: `${settings.publicUrl}/api/messages`, effective: { captcha: kind } };
  return [
    {
      id: 'html',
      label: 'HTML',
      note: `Works without the script, too: then the browser posts the form. The script at the end improves it${
        kind === 'altcha' ? ', and solves the captcha' : ''
      }.`,
      code: formSnippet(settings, form),
    },
    {
      id: 'fetch',
      label: 'fetch',
      note: `With a script of your own. If there is no answer, post the same again: within ten minutes it is stored once.${solverNote(kind)}`,
      code: fetchSnippet(settings, form),
    },
    {
      id: 'react',
      label: 'React',
      note: `Keeps what was typed until it is stored, and shows each error.${solverNote(kind)}`,
      code: reactSnippet(settings, form),
    },
    {
      id: 'shell',
      label: 'curl',
      note:
        kind === 'none'
          ? 'To try the server before you have a page.'
          : 'To see that a captcha is required: this is refused (captcha-required), because curl cannot solve one.',
      code: `curl ${form.address} \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}'`,
    },
  ];
}

function solverNote(kind: CaptchaKind): string {
  return kind === 'altcha' ? ' It solves the captcha first, with the package altcha-lib and a bundler.' : '';
}
