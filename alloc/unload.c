/* unload.c: the end of the process, and the closing of a plug-in that has this library in it.
**
** At exit nothing is taken down: threads go on until the process is gone, and destructors that come
** later allocate and free. A plug-in (a shared object that was linked with libsluice-pic.a) can be
** closed by dlclose while its host and the threads that called it live on. Then its memory is unmapped
** with its code, and the key is deleted by which the ends of those threads would call that code; the C
** library forgets the handlers of fork and exit by itself.
**
** Both call the same destructors. For an object that was opened while the program ran, what it
** registered by atexit comes before them at exit, and after them in dlclose. For one that was there
** from the start it comes after them always; such an object stays, and is known by another that needs
** it, or by being marked as nodelete (as our own shared libraries are). */
#include "alloc/internal.h"

#include <link.h>
#include <stdlib.h>

/* ---- Does this object stay to the end? ------------------------------------------------------- */

typedef struct search {
  const char* name; /* of the object that this function is in; NULL: not found */
  bool stays;
} search_t;

static bool is_own(const struct dl_phdr_info* object) {
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[i];
    uintptr_t offset = (uintptr_t)is_own - object->dlpi_addr - part->p_vaddr;
    if (part->p_type == PT_LOAD && offset < part->p_memsz) return true;
  }
  return false;
}

static const ElfW(Dyn) * dynamic_of(const struct dl_phdr_info* object) {
  static const ElfW(Dyn) none = {.d_tag = DT_NULL};
  for (int i = 0; i < object->dlpi_phnum; i++)
    if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
      return (const ElfW(Dyn)*)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
  return &none;
}

/* The loader has made it an address, but for some objects and systems. */
static const char* strings_of(const struct dl_phdr_info* object) {
  for (const ElfW(Dyn)* d = dynamic_of(object); d->d_tag != DT_NULL; d++)
    if (d->d_tag == DT_STRTAB)
      return (const char*)(d->d_un.d_ptr +
                           (d->d_un.d_ptr < object->dlpi_addr ? object->dlpi_addr : 0));
  return NULL;
}

static const char* without_path(const char* name) {
  const char* slash = strrchr(name, '/');
  return slash != NULL ? slash + 1 : name;
}

static int find_own(struct dl_phdr_info* object, size_t size, void* search) {
  (void)size;
  search_t* s = search;
  if (!is_own(object)) return 0;
  s->name = without_path(object->dlpi_name);
  for (const ElfW(Dyn)* d = dynamic_of(object); d->d_tag != DT_NULL; d++)
    if (d->d_tag == DT_FLAGS_1 && d->d_un.d_val & DF_1_NODELETE) s->stays = true;
  return 1;
}

static int find_need(struct dl_phdr_info* object, size_t size, void* search) {
  (void)size;
  search_t* s = search;
  const char* strings = strings_of(object);
  for (const ElfW(Dyn)* d = dynamic_of(object); d->d_tag != DT_NULL; d++)
    if (d->d_tag == DT_NEEDED && strings != NULL &&
        strcmp(without_path(strings + d->d_un.d_val), s->name) == 0)
      s->stays = true;
  return s->stays;
}

static bool stays(void) {
  search_t s = {NULL, false};
  if (!dl_iterate_phdr(find_own, &s) || s.stays) return true;
  dl_iterate_phdr(find_need, &s);
  return s.stays;
}

/* ---- Destructors ----------------------------------------------------------------------------- */

static bool knows_exit, exits, closes;

static void at_exit(void) { exits = true; }

void unload_prepare(void) { knows_exit = atexit(at_exit) == 0; }

__attribute__((destructor)) static void unload_begins(void) {
  closes = knows_exit && !exits && !stays();
}

/* What waits in the secure build is looked at for the last time. */
static void unload(void) {
  if (MI_SECURE && tls.task != NO_TASK) secure_flush(tls.task);
  say_due();
  if (option_value(mi_option_show_stats)) mi_stats_print(NULL);
  threads_forget();
  if (!closes) return;
  memory_unmap();
  os_drop_stderr();
}

/* The last of all, since the other destructors of program or plug-in may free: they are called from the
** end of the array, and the priorities that a program may give begin at 101. */
__attribute__((section(".fini_array.00001"), used)) static void (*last_destructor)(void) = unload;
