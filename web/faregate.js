// Follows the browser's choice of light or dark before anything is painted, and shows htmx's answers to bad input where they belong.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.setAttribute("data-bs-theme", dark.matches ? "dark" : "light");
follow();
dark.addEventListener("change", follow);

// An answer of 422 is the same form with its faults: htmx would not show it of itself.
document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status === 422) {
        event.detail.shouldSwap = true;
        event.detail.isError = false;
    }
});
