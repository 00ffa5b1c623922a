/** What a newcomer copies: each works as it stands, with this server's address in it. */
export function snippets(publicUrl: string) {
  const url = `${publicUrl}/api/messages`;
  return [
    {
      id: 'html',
      label: 'HTML',
      note: 'Works without script, too: then the browser posts the form by itself. The script at the end upgrades it.',
      code: `<form method="post" action="${url}" data-ruffinweb>
  <label>Name <input name="name" autocomplete="name"></label>
  <label>E-mail <input name="email" type="email" autocomplete="email" required></label>
  <label>Message <textarea name="message" rows="5" required></textarea></label>
  <button>Send message</button>
</form>
<script src="${publicUrl}/form.js" defer></script>`,
    },
    {
      id: 'fetch',
      label: 'fetch',
      note: 'For a form of your own making. With the same key a message is stored once, however often it is posted.',
      code: `const answer = await fetch('${url}', {
  method: 'POST',
  headers: {
    'Content-Type': 'application/json',
    'Idempotency-Key': crypto.randomUUID(),
  },
  body: JSON.stringify({
    name: 'Ada Lovelace',
    email: 'ada@example.com',
    message: 'Could you build me an engine?',
  }),
});
const { receipt, errors } = await answer.json();
// 201: receipt is the message's number. 422: errors says which field is wrong, and how.`,
    },
    {
      id: 'react',
      label: 'React',
      note: 'Keeps what was typed until it is stored, and shows each fault.',
      code: `import { useState } from 'react';

export function ContactForm() {
  const [answer, setAnswer] = useState({});
  const [sending, setSending] = useState(false);

  async function send(event) {
    event.preventDefault();
    setSending(true);
    const fields = Object.fromEntries(new FormData(event.currentTarget));
    const response = await fetch('${url}', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID() },
      body: JSON.stringify(fields),
    }).catch(() => undefined);
    setAnswer(response ? await response.json() : { detail: 'the connection was lost' });
    setSending(false);
  }

  if (answer.receipt) return <p role="status">Thank you! Your number is {answer.receipt}.</p>;
  return (
    <form onSubmit={send}>
      <label>E-mail <input name="email" type="email" required /></label>
      <label>Message <textarea name="message" required /></label>
      <button disabled={sending}>Send message</button>
      <div role="alert">
        {answer.errors?.map((it) => <p key={it.field}>{it.field} {it.message}.</p>) ?? answer.detail}
      </div>
    </form>
  );
}`,
    },
    {
      id: 'shell',
      label: 'curl',
      note: 'To see that it works, before there is a page.',
      code: `curl ${url} \\
  -H 'Content-Type: application/json' \\
  -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}'`,
    },
  ];
}
