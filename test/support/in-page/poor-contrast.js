/**
 * Runs in a page: texts that are to be seen and cannot be read well, by WCAG 2.2, success criterion 1.4.3: below 4.5 : 1; below
 * 3 : 1 where they are large (24 px, or 18.66 px and bold).
 */
(() => {
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('no canvas');

  /** What the last of these colours comes to, painted over those before it. */
  const painted = (/** @type {readonly string[]} */ colours) => {
    for (const colour of ['white', ...colours]) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };

  const luminance = (/** @type {readonly number[]} */ colour) => {
    const [red = 0, green = 0, blue = 0] = colour.map((channel) => {
      const part = channel / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  /** @type {(element: Element) => string[]} */
  const groundsOf = (element) => [
    ...(element.parentElement === null ? [] : groundsOf(element.parentElement)),
    getComputedStyle(element).backgroundColor,
  ];

  const poor = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent?.trim() ?? '';
    if (element === null || text === '' || !element.checkVisibility()) continue;
    if (element.closest('.unseen, dialog, script, title') !== null) continue;
    looked += 1;
    const grounds = groundsOf(element);
    // In the ring a text lies on its arc.
    const arc = element.closest('.arc')?.querySelector('.ground');
    if (arc) grounds.push(getComputedStyle(arc).fill);
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [light = 0, dark = 0] = [painted(grounds), painted([...grounds, ink])]
      .map(luminance)
      .toSorted((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) poor.push(`${text}: ${ratio.toFixed(2)}`);
  }
  return { looked, poor };
})();
