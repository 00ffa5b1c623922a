import type { Dialect } from './dialect.ts';
import { django } from './django.ts';
import { formspree } from './formspree.ts';
import { own } from './own.ts';

/**
 * Which dialect is spoken at an address, whether or not anything is served there: also what never reaches a
 * route (a wrong method, a limit) is to be understood.
 */
export function dialectOf(path: string): Dialect {
  if (/^\/f\//i.test(path)) return formspree;
  return /^\/api\/(?:sender|message|send-email)\/?$/i.test(path) ? django : own;
}
