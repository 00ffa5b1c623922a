/** All settings of a form for `/form.js`. A test compares this list with the script. */
export const scriptSettings = [
  { names: ['data-ruffinweb'], does: 'Turns the script on for this form. Afterwards it contains the form’s state.' },
  { names: ['action'], does: 'Where the form posts to, with or without the script.' },
  {
    names: ['lang'],
    does: 'On the form or around it, as on `<html>`: the language of these texts, `en` or `de`; otherwise the server’s `LANGUAGE`. Posted as `_language`.',
  },
  { names: ['data-success'], does: 'Text once the message is stored; `{receipt}` is replaced by its reference.' },
  {
    names: ['data-redirect'],
    does: 'Page to go to instead, with the reference added as `receipt`. Without it, the field `_next` or `_redirect` is used.',
  },
  { names: ['data-sending'], does: 'Text while the message is being sent.' },
  { names: ['data-correct'], does: 'Text if fields are not valid.' },
  {
    names: ['data-missing', 'data-invalid', 'data-too-long'],
    does: 'Text at a field that is missing, invalid or too long. On the field itself it overrides that of the form.',
  },
  { names: ['data-lost'], does: 'Text if the connection was lost twice.' },
  { names: ['data-later'], does: 'Text if the server asks to wait; `{time}` is replaced by how long.' },
  { names: ['data-failed'], does: 'Text for any other refusal.' },
  {
    names: ['data-captcha'],
    does: 'Solves the captcha before the first post instead of when the server asks. Its value can be another address for the challenge.',
  },
  {
    names: ['data-ruffinweb-status'],
    does: 'On an element inside the form: where these texts are shown. Without one, it is added at the end.',
  },
];
