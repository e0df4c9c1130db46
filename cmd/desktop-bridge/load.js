// Loads the page's modules. A browser drops requests when its network changes, as in a train, or
// beside a Docker that starts containers, and asks for no module again that failed once. So the
// page begins anew.
const pauses = [100, 500, 2000, 5000]
const tried = Number(sessionStorage.getItem('tried') ?? 0)
const modules = document.createElement('script')
modules.type = 'module'
modules.src = 'page.js'
modules.addEventListener('load', () => sessionStorage.removeItem('tried'))
modules.addEventListener('error', () => {
  if (tried < pauses.length) {
    sessionStorage.setItem('tried', tried + 1)
    setTimeout(() => location.reload(), pauses[tried])
    return
  }
  sessionStorage.removeItem('tried')
  document.querySelector('#state p').textContent = 'This desktop could not be loaded. Load the page again.'
})
document.head.append(modules)
