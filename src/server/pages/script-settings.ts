/** All that can be set on a form for `/form.js`; a test compares this list with what the script asks for. */
export const scriptSettings = [
  { names: ['data-ruffinweb'], does: 'Makes the script take this form. It shows the state afterwards.' },
  { names: ['action'], does: 'Where the form posts to, with the script and without it.' },
  {
    names: ['data-success'],
    does: 'What is said once the message is stored; `{receipt}` stands for its number.',
  },
  {
    names: ['data-redirect'],
    does: 'Where to go then instead; the number is added as `receipt`. Else `_next` or `_redirect` is taken.',
  },
  { names: ['data-sending'], does: 'What is said while it is being sent.' },
  { names: ['data-correct'], does: 'What is said where fields are at fault.' },
  {
    names: ['data-missing', 'data-invalid', 'data-too-long'],
    does: 'What is said at such a field. On a field itself they go before those on the form.',
  },
  { names: ['data-lost'], does: 'What is said when the connection was lost twice.' },
  { names: ['data-later'], does: 'What is said when the server asks to wait; `{time}` stands for how long.' },
  { names: ['data-failed'], does: 'What is said at any other refusal.' },
  {
    names: ['data-captcha'],
    does: 'Solves the captcha before the first try rather than when the server asks. Its value may be another address of the challenge.',
  },
  {
    names: ['data-ruffinweb-status'],
    does: 'On an element inside the form: where all this is said. Without one it is added at the end.',
  },
];
