import { readLanguage } from '../../languages/languages.ts';
import { languageOf } from '../../services/forms/effective-settings.ts';
import type { Submitted } from '../../services/intake/submit-message.ts';
import type { Language } from '../../words.ts';

/**
 * Our thank-you page after a post to a form, under the public address. It is told the form and the language only where its words
 * differ from the usual ones.
 */
export function thanksPath(
  config: { language: Language },
  form: Pick<Submitted['form'], 'slug' | 'language' | 'words'>,
  posted: ReadonlyMap<string, unknown> | undefined,
  receipt?: string,
): string {
  const language = form.language === 'auto' && languageOf(config, form, readLanguage(posted?.get('_language')));
  const query = new URLSearchParams({
    ...(receipt && { receipt }),
    ...((form.words || form.language) && { form: form.slug }),
    ...(language && { language }),
  });
  return query.size > 0 ? `/thanks?${query}` : '/thanks';
}
