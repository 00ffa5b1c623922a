import type { ProblemCode } from '../../problems.ts';
import type { ProblemDetails } from '../http/problem-details.ts';

type Words = [heading: string, detail: string];
type WordsByCode = Partial<Record<ProblemCode, Words>>;

const broken = 'This form does not work';
const tellOwner = 'Nothing was sent. Please tell the site’s owner another way.';
const noPage: Words = [
  'There is no page here',
  'This address is for forms and programs. To write a message, please go back to the page with the form.',
];

/** After a post. The API's words are for those who make the page; visitors get these. */
const postWords: WordsByCode = {
  'route-unknown': [broken, `Its page sends to an address that does not exist. ${tellOwner}`],
  'method-not-allowed': [broken, `Its page sends to an address that takes no forms. ${tellOwner}`],
  'form-unknown': [broken, `The form that its page sends to does not exist. ${tellOwner}`],
  'form-closed': ['This form is closed', `It accepts no more messages. ${tellOwner}`],
  'body-too-large': ['Your message is too long', 'Nothing was sent. Please go back, shorten it, and send it again.'],
  'body-type-unknown': [broken, `Its page sends in a way that is not supported. ${tellOwner}`],
  'body-unreadable': [broken, `What its page sends cannot be read. ${tellOwner}`],
};

/** After opening an address. `/api/messages` takes forms, and programs with a key read from it. */
const visitWords: WordsByCode = {
  'route-unknown': ['Nothing here', 'There is no page at this address.'],
  'method-not-allowed': noPage,
  'key-required': noPage,
};

/** @param isRead whether a post was read, so that it may have been stored. */
export function wordsForVisitors(
  { code, status, title, detail }: ProblemDetails,
  isPost: boolean,
  isRead: boolean,
): Words {
  const ours = 'The fault is on our side; please try again in a';
  if (status >= 500) {
    const stored = `Your message may not have been stored. ${ours} moment: the same message is never stored twice.`;
    return ['That did not work', isRead ? stored : `${ours} few minutes.`];
  }
  const heading = code.startsWith('captcha-')
    ? 'One more step'
    : code === 'argument-invalid'
      ? 'This link does not work'
      : title;
  return (isPost ? postWords : visitWords)[code] ?? [heading, `${detail[0]?.toUpperCase()}${detail.slice(1)}.`];
}
