/* Accessible names for parts of the theme that have none. */
document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");

document.querySelectorAll("nav.md-nav[aria-labelledby]").forEach((nav, index) => {
  const label = document.getElementById(nav.getAttribute("aria-labelledby"));
  nav.removeAttribute("aria-labelledby");
  nav.setAttribute("aria-label", `${label?.textContent.trim() || "Pages"} (${index + 1})`);
});

/* Make wide tables scrollable by keyboard. The theme adds these elements after this script. */
addEventListener("load", () => requestAnimationFrame(() => {
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => { wrap.tabIndex = 0; });
  document.querySelectorAll(".md-code__nav").forEach((nav, index) => {
    nav.setAttribute("aria-label", `Code ${index + 1}`);
  });
}));
