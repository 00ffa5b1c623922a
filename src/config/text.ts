import * as z from 'zod';

/** A schema for one text; `read` says what is wrong by throwing, its message being the end of "NAME …". */
export function text<T>(read: (text: string) => T): z.ZodType<T> {
  return z.string().transform((value, context) => {
    try {
      return read(value);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });
}
