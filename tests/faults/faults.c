/* Preloaded into the commands under test: counts the operations that change files below a folder, and at the k-th of
   them kills the process, sends it a signal, or lets the operation fail. Every operation is written to a trace. For
   commands that only read, files that are opened for reading are counted. The processes that a command forks
   are counted together with it: each operation has one number, and a fault happens in one process only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILES 4096
enum { SPACE = 1, CHANGE = 2, READ = 3 }; /* what an operation needs: space on the disk, that it is writable, readable */

static char folder[PATH_MAX];
static size_t folder_length;
static struct { atomic_long count; atomic_int failing; } *shared; /* by a command and the processes that it forks */
static long target;
static int failure, persistent, to_send, reads, trace = -1;
static char *files[MAX_FILES]; /* paths of open files and folders below the folder, by descriptor */

/* Start counting below a folder. At the operation `step` the signal is sent, or the operation fails with `error`; if
   `lasting`, all later ones fail too. If `reading`, files opened for reading are counted as well. */
void faults_arm(const char *path, long step, int signal_number, int error, int lasting, int reading,
                int trace_descriptor) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); /* zeros */
    if (shared == MAP_FAILED) abort();
    snprintf(folder, sizeof folder, "%s", path);
    folder_length = strlen(folder);
    target = step, to_send = signal_number, failure = error, persistent = lasting, reads = reading;
    trace = trace_descriptor;
}

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Return whether a path is below the folder, and its absolute form. */
static int watched(int at, const char *path, char *absolute) {
    if (!folder_length || !path) return 0;
    if (*path == '/') snprintf(absolute, PATH_MAX, "%s", path);
    else {
        char base[PATH_MAX] = "", link[64];
        if (at == AT_FDCWD) { if (!getcwd(base, sizeof base)) return 0; }
        else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n < 0) return 0;
            base[n] = 0;
        }
        if (snprintf(absolute, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    return !strncmp(absolute, folder, folder_length) && absolute[folder_length] == '/';
}

/* Count an operation. Return 0 to execute it, -1 to let it fail with errno, and 1 to execute a part of it and die. */
static int step(const char *name, const char *path, const char *to, int needs) {
    long k = atomic_fetch_add(&shared->count, 1) + 1;
    if (trace >= 0) {
        char line[2 * PATH_MAX + 64];
        int n = snprintf(line, sizeof line, "%d\t%ld\t%s\t%s\t%s\n", getpid(), k, name, path + folder_length + 1,
                         to ? to + folder_length + 1 : "");
        if (syscall(SYS_write, trace, line, n) < 0) trace = -1;
    }
    if (k == target) {
        if (to_send == SIGKILL && needs == SPACE) return 1;
        if (to_send) kill(getpid(), to_send);
        shared->failing = failure != 0;
    }
    if (shared->failing && (k == target || persistent)) {
        int fails = failure == EIO || needs == SPACE || (failure == EROFS && needs == CHANGE);
        if (fails) { errno = failure; return -1; }
    }
    return 0;
}

static void die(void) { kill(getpid(), SIGKILL); }

static int remember(int fd, const char *absolute) {
    if (fd >= 0 && fd < MAX_FILES) { free(files[fd]); files[fd] = strdup(absolute); }
    return fd;
}

static int opened(int at, const char *path, int flags, mode_t mode) {
    char absolute[PATH_MAX];
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
    int mine = watched(at, path, absolute);
    if (mine && (writes || reads)) {
        int to_do = step(writes ? "open" : "read", absolute, NULL, flags & O_CREAT ? SPACE : writes ? CHANGE : READ);
        if (to_do > 0) die();
        if (to_do < 0) return -1;
    }
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (mine) return remember(fd, absolute);
    if (fd >= 0 && fd < MAX_FILES && files[fd]) { free(files[fd]); files[fd] = NULL; }
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | __O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, mode_t); va_end(l); }
int open(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE return opened(at, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

static FILE *stream(const char *path, const char *mode, FILE *(*call)(const char *, const char *)) {
    char absolute[PATH_MAX];
    int mine = strpbrk(mode, "wa+") && watched(AT_FDCWD, path, absolute);
    if (mine) {
        int to_do = step("open", absolute, NULL, SPACE);
        if (to_do > 0) die();
        if (to_do < 0) return NULL;
    }
    FILE *file = call(path, mode);
    if (mine && file) remember(fileno(file), absolute);
    return file;
}
FILE *fopen(const char *path, const char *mode) { return stream(path, mode, REAL(fopen)); }
FILE *fopen64(const char *path, const char *mode) { return stream(path, mode, REAL(fopen64)); }

int close(int fd) {
    if (fd >= 0 && fd < MAX_FILES && files[fd]) { free(files[fd]); files[fd] = NULL; }
    return (int)syscall(SYS_close, fd);
}

static char *path_of(int fd) { return folder_length && fd >= 0 && fd < MAX_FILES ? files[fd] : NULL; }

#define WRITES(name, partial, whole)                                     \
    if (path_of(fd)) {                                                   \
        int to_do = step(name, path_of(fd), NULL, SPACE);                \
        if (to_do > 0) { if (partial < 0) {} die(); }                    \
        if (to_do < 0) return -1;                                        \
    }                                                                    \
    return whole
ssize_t write(int fd, const void *data, size_t n) {
    WRITES("write", syscall(SYS_write, fd, data, n / 2), syscall(SYS_write, fd, data, n));
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    WRITES("write", syscall(SYS_pwrite64, fd, data, n / 2, at), syscall(SYS_pwrite64, fd, data, n, at));
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    WRITES("write", syscall(SYS_pwrite64, fd, data, n / 2, at), syscall(SYS_pwrite64, fd, data, n, at));
}
ssize_t writev(int fd, const struct iovec *pieces, int n) {
    WRITES("write", syscall(SYS_writev, fd, pieces, n / 2), syscall(SYS_writev, fd, pieces, n));
}
ssize_t sendfile64(int fd, int in, off64_t *at, size_t n) {
    WRITES("write", syscall(SYS_sendfile, fd, in, at, n / 2), syscall(SYS_sendfile, fd, in, at, n));
}
ssize_t copy_file_range(int in, off64_t *from, int fd, off64_t *at, size_t n, unsigned flags) {
    WRITES("write", syscall(SYS_copy_file_range, in, from, fd, at, n / 2, flags),
           syscall(SYS_copy_file_range, in, from, fd, at, n, flags));
}
int ftruncate(int fd, off_t n) { WRITES("truncate", 0, (int)syscall(SYS_ftruncate, fd, n)); }
int ftruncate64(int fd, off64_t n) { WRITES("truncate", 0, (int)syscall(SYS_ftruncate, fd, n)); }
int fsync(int fd) { WRITES("fsync", 0, (int)syscall(SYS_fsync, fd)); }
int fdatasync(int fd) { WRITES("fsync", 0, (int)syscall(SYS_fdatasync, fd)); }

static int on_path(const char *name, int at, const char *path, int needs) {
    char absolute[PATH_MAX];
    if (!watched(at, path, absolute)) return 0;
    int to_do = step(name, absolute, NULL, needs);
    if (to_do > 0) die();
    return to_do;
}
static int on_two(const char *name, int at, const char *path, int to_at, const char *to) {
    char absolute[PATH_MAX], other[PATH_MAX];
    int from = watched(at, path, absolute);
    if (!watched(to_at, to, other)) { if (!from) return 0; strcpy(other, absolute); }
    if (!from) strcpy(absolute, other);
    return step(name, absolute, other, CHANGE);
}
#define GUARD(check) if ((check) < 0) return -1
int mkdir(const char *path, mode_t mode) {
    GUARD(on_path("mkdir", AT_FDCWD, path, SPACE));
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int mkdirat(int at, const char *path, mode_t mode) {
    GUARD(on_path("mkdir", at, path, SPACE));
    return (int)syscall(SYS_mkdirat, at, path, mode);
}
int unlink(const char *path) {
    GUARD(on_path("unlink", AT_FDCWD, path, CHANGE));
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int unlinkat(int at, const char *path, int flags) {
    GUARD(on_path(flags & AT_REMOVEDIR ? "rmdir" : "unlink", at, path, CHANGE));
    return (int)syscall(SYS_unlinkat, at, path, flags);
}
int rmdir(const char *path) {
    GUARD(on_path("rmdir", AT_FDCWD, path, CHANGE));
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}
int chmod(const char *path, mode_t mode) {
    GUARD(on_path("chmod", AT_FDCWD, path, CHANGE));
    return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}
int rename(const char *path, const char *to) {
    GUARD(on_two("rename", AT_FDCWD, path, AT_FDCWD, to));
    return (int)syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0);
}
int renameat(int at, const char *path, int to_at, const char *to) {
    GUARD(on_two("rename", at, path, to_at, to));
    return (int)syscall(SYS_renameat2, at, path, to_at, to, 0);
}
int renameat2(int at, const char *path, int to_at, const char *to, unsigned flags) {
    GUARD(on_two("rename", at, path, to_at, to));
    return (int)syscall(SYS_renameat2, at, path, to_at, to, flags);
}
int link(const char *path, const char *to) {
    GUARD(on_two("link", AT_FDCWD, path, AT_FDCWD, to));
    return (int)syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0);
}
int symlink(const char *text, const char *path) {
    GUARD(on_path("symlink", AT_FDCWD, path, SPACE));
    return (int)syscall(SYS_symlinkat, text, AT_FDCWD, path);
}
