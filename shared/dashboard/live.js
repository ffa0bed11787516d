"use strict";
// A form with data-live shows what it leads to while its fields are filled in: what the element that it names holds is taken from the page to
// which the form would lead. Without this script the form's button does the same.
for (const form of document.querySelectorAll("form[data-live]")) {
  let waiting, asked = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const mine = ++asked;
      if (!form.checkValidity()) return;
      try {
        const answer = await fetch(`${location.pathname}?${new URLSearchParams(new FormData(form))}`);
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById(form.dataset.live);
        if (fresh && mine === asked) document.getElementById(form.dataset.live).replaceChildren(...fresh.childNodes);
      } catch { /* the button is still there */ }
    }, 250);
  });
}
