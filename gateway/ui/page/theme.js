/**
 * Light or dark: as the system has it, unless somebody chose otherwise. Not a module, so that it is known before anything is
 * painted. Tells of a change by an event `themechange` on the document.
 */
{
  const STORED_AS = 'ringfill-theme';
  const root = document.documentElement;

  /** @param {string} theme `auto`, `light` or `dark` */
  const apply = (theme) => {
    if (theme === 'auto') delete root.dataset['theme'];
    else root.dataset['theme'] = theme;
    document.dispatchEvent(new Event('themechange'));
  };

  const chosen = localStorage.getItem(STORED_AS) ?? 'auto';
  apply(chosen);

  document.addEventListener('DOMContentLoaded', () => {
    for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (
      document.querySelectorAll('input[name="theme"]')
    )) {
      input.checked = input.value === chosen;
      input.addEventListener('change', () => {
        localStorage.setItem(STORED_AS, input.value);
        apply(input.value);
      });
    }
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
    document.dispatchEvent(new Event('themechange')),
  );
}
