import { type CaptchaKind, solutionFields } from '../../captcha/kinds.ts';
import { formSnippet } from '../../services/forms/form-snippet.ts';

/** What an example needs to know about the captcha. */
interface Captcha {
  kind: CaptchaKind;
  /** Whether it is our own, which a script can solve. */
  own: boolean;
  /** The field that a hosted captcha's widget sets. */
  hostedField: string | undefined;
}

/**
 * Examples to copy from the landing page. Each works with this server's address.
 *
 * @param kind the default captcha of forms.
 */
export function snippets(publicUrl: string, kind: CaptchaKind) {
  const hostedField = kind === 'none' || kind === 'altcha' ? undefined : solutionFields[kind];
  const captcha = { kind, own: kind === 'altcha', hostedField };
  const address = `${publicUrl}/api/messages`;
  const html = {
    id: 'html',
    label: 'HTML',
    note: `Works without the script, too: then the browser posts the form. The script at the end improves it${
      captcha.own ? ', and solves the captcha' : ''
    }.`,
    code: formSnippet(publicUrl, { address, effective: { captcha: kind } }),
  };
  return [html, fetchSnippet(publicUrl, captcha), reactSnippet(publicUrl, captcha), curlSnippet(publicUrl, captcha)];
}

const altchaImports = [
  "import { solveChallenge } from 'altcha-lib';\n",
  "import { deriveKey } from 'altcha-lib/algorithms/web/pbkdf2';\n",
].join('');

function captchaNote({ kind, own, hostedField }: Captcha): string {
  if (own) return ' It solves the captcha first, with the package altcha-lib.';
  return hostedField === undefined ? '' : ` The page also needs the widget of ${kind}.`;
}

function fetchSnippet(publicUrl: string, captcha: Captcha) {
  const { own, hostedField } = captcha;
  const solve = `${altchaImports}
const challenge = await (await fetch('${publicUrl}/api/captcha')).json();
const solution = await solveChallenge({ challenge, deriveKey });
`;
  const solution = hostedField
    ? `\n    '${hostedField}': document.querySelector('[name="${hostedField}"]').value,`
    : '\n    altcha: btoa(JSON.stringify({ challenge, solution })),';
  return {
    id: 'fetch',
    label: 'fetch',
    note: `For a form of your own. If there is no answer, post the same again: within ten minutes it is stored once.${captchaNote(captcha)}`,
    code: `${own ? solve : ''}const response = await fetch('${publicUrl}/api/messages', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    message: 'Could you build me an engine?',${own || hostedField ? solution : ''}
  }),
});
const { receipt, errors, detail } = await response.json().catch(() => ({}));
// receipt: the reference of the stored message. If there is none, it is not stored: keep what was typed.
// errors: what is wrong with which field. detail: any other reason.`,
  };
}

function reactSnippet(publicUrl: string, captcha: Captcha) {
  const { kind, own, hostedField } = captcha;
  const solve = `

async function solve() {
  const challenge = await (await fetch('${publicUrl}/api/captcha')).json();
  const solution = await solveChallenge({ challenge, deriveKey });
  return btoa(JSON.stringify({ challenge, solution }));
}`;
  return {
    id: 'react',
    label: 'React',
    note: `Keeps what was typed until it is stored, and shows each error.${captchaNote(captcha)}`,
    code: `import { useState } from 'react';
${own ? altchaImports : ''}
const failed = { detail: 'That did not work. Please try again.' };

export function ContactForm() {
  const [answer, setAnswer] = useState({});
  const [sending, setSending] = useState(false);

  async function send(event) {
    event.preventDefault();
    const body = new FormData(event.currentTarget);
    setSending(true);
    try {
${own ? `      body.set('altcha', await solve());\n` : ''}      const response = await fetch('${publicUrl}/api/messages', { method: 'POST', body });
      setAnswer({ ...failed, ...(await response.json()) });
    } catch {
      setAnswer(failed);
    }
    setSending(false);
  }

  if (answer.receipt) return <p role="status">Thank you! Your reference is {answer.receipt}.</p>;
  return (
    <form onSubmit={send}>
      <label>E-mail <input name="email" type="email" required /></label>
      <label>Message <textarea name="message" required /></label>
${hostedField ? `      {/* put the widget of ${kind} here: it adds a field to the form */}\n` : ''}      <button disabled={sending}>Send message</button>
      <div role="alert">
        {answer.errors?.map((it) => <p key={it.field}>{it.field} {it.message}.</p>) ?? answer.detail}
      </div>
    </form>
  );
}${own ? solve : ''}`,
  };
}

function curlSnippet(publicUrl: string, { kind }: Captcha) {
  return {
    id: 'shell',
    label: 'curl',
    note:
      kind === 'none'
        ? 'To try the server before you have a page.'
        : 'To see that a captcha is required: this is refused (captcha-required), because curl cannot solve one.',
    code: `curl ${publicUrl}/api/messages \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}'`,
  };
}
