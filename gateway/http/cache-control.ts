/**
 * The request's `Cache-Control` (RFC 9111, section 5.2.1). Directives that we do not know are ignored, as it says.
 * `Pragma: no-cache` counts where there is no Cache-Control (RFC 9111, section 5.4).
 */
import { ANY_TERMS, type Terms } from '../journey/row-request.ts';

export function termsOf(cacheControl: string | undefined, pragma: string | undefined): Terms {
  if (cacheControl === undefined)
    return pragma?.toLowerCase() === 'no-cache' ? { ...ANY_TERMS, noCache: true } : ANY_TERMS;
  const terms = { ...ANY_TERMS };
  for (const directive of cacheControl.toLowerCase().split(',')) {
    const [name, value] = directive.trim().split('=', 2);
    switch (name) {
      case 'no-cache':
        terms.noCache = true;
        break;
      case 'no-store':
        terms.noStore = true;
        break;
      case 'only-if-cached':
        terms.onlyIfCached = true;
        break;
      case 'max-age': {
        const digits = /^"?([0-9]+)"?$/.exec(value ?? '')?.[1];
        if (digits !== undefined) terms.maxAgeSeconds = Number(digits);
        break;
      }
      default:
        break;
    }
  }
  return terms;
}
