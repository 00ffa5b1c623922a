import { type CaptchaKind, solutionFields } from '../../captcha/kinds.ts';
import { formSnippet } from '../../services/forms/form-snippet.ts';

/**
 * What a newcomer copies: each works as it stands, with this server's address in it.
 *
 * @param captcha the kind that the environment asks for.
 */
export function snippets(publicUrl: string, captcha: CaptchaKind) {
  const url = `${publicUrl}/api/messages`;
  const hosted = captcha === 'none' || captcha === 'altcha' ? undefined : solutionFields[captcha];
  const own = captcha === 'altcha';
  const solving = [
    "import { solveChallenge } from 'altcha-lib';\n",
    "import { deriveKey } from 'altcha-lib/algorithms/web/pbkdf2';\n",
  ].join('');
  const solved = own ? ' It solves the captcha first, with the package altcha-lib.' : '';
  const widget = hosted === undefined ? '' : ` The widget of ${captcha} has to stand in the page, too.`;
  return [
    {
      id: 'html',
      label: 'HTML',
      note: `Works without script, too: then the browser posts the form by itself. The script at the end upgrades it${
        own ? ', and solves the captcha' : ''
      }.`,
      code: formSnippet(publicUrl, { address: url, effective: { captcha } }),
    },
    {
      id: 'fetch',
      label: 'fetch',
      note: `For a form of your own making. Where no answer comes post the same again: within ten minutes it is stored once.${solved}${widget}`,
      code: `${own ? `${solving}\n` : ''}${
        own
          ? `const challenge = await (await fetch('${publicUrl}/api/captcha')).json();
const solution = await solveChallenge({ challenge, deriveKey });
`
          : ''
      }const response = await fetch('${url}', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    message: 'Could you build me an engine?',${own ? '\n    altcha: btoa(JSON.stringify({ challenge, solution })),' : ''}${
      hosted === undefined ? '' : `\n    '${hosted}': document.querySelector('[name="${hosted}"]').value,`
    }
  }),
});
const { receipt, errors, detail } = await response.json().catch(() => ({}));
// receipt: it is stored, and this is its number. Without one it is not: keep what was typed.
// errors says which field is wrong, and how; detail what else was.`,
    },
    {
      id: 'react',
      label: 'React',
      note: `Keeps what was typed until it is stored, and shows each fault.${solved}${widget}`,
      code: `import { useState } from 'react';
${own ? solving : ''}
const failed = { detail: 'That did not work. Please try again.' };

export function ContactForm() {
  const [answer, setAnswer] = useState({});
  const [sending, setSending] = useState(false);

  async function send(event) {
    event.preventDefault();
    const body = new FormData(event.currentTarget);
    setSending(true);
    try {
${own ? `      body.set('altcha', await solve());\n` : ''}      const response = await fetch('${url}', { method: 'POST', body });
      setAnswer({ ...failed, ...(await response.json()) });
    } catch {
      setAnswer(failed);
    }
    setSending(false);
  }

  if (answer.receipt) return <p role="status">Thank you! Your number is {answer.receipt}.</p>;
  return (
    <form onSubmit={send}>
      <label>E-mail <input name="email" type="email" required /></label>
      <label>Message <textarea name="message" required /></label>
${hosted === undefined ? '' : `      {/* here the widget of ${captcha}: it adds a field to the form */}\n`}      <button disabled={sending}>Send message</button>
      <div role="alert">
        {answer.errors?.map((it) => <p key={it.field}>{it.field} {it.message}.</p>) ?? answer.detail}
      </div>
    </form>
  );
}${
        own
          ? `

async function solve() {
  const challenge = await (await fetch('${publicUrl}/api/captcha')).json();
  const solution = await solveChallenge({ challenge, deriveKey });
  return btoa(JSON.stringify({ challenge, solution }));
}`
          : ''
      }`,
    },
    {
      id: 'shell',
      label: 'curl',
      note:
        captcha === 'none'
          ? 'To see that it works, before there is a page.'
          : 'To see that a captcha is asked for: refused (captcha-required), since nothing here has solved one.',
      code: `curl ${url} \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}'`,
    },
  ];
}
