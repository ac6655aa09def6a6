/* Files and names, the blocking way, on the simulated drive of the machine whose code runs.
 *
 * In a job a call takes its time, and the machine may die meanwhile; then the call never returns.
 * On a loop (at start-up) it is done at once. */
#include <chronik/base/text.h>
#include <errno.h>

#include "io_inside.h"

/* ---- time and errors --------------------------------------------------------------------------*/

struct drive_verdict drive_decide(struct machine *machine, enum drive_work work, size_t len)
{
    struct drive_faults *f = &machine->drive.faults;
    const uint64_t typical[] = {
        [DRIVE_READ] = f->read_ns,
        [DRIVE_WRITE] = f->write_ns,
        [DRIVE_SYNC] = f->sync_ns,
        [DRIVE_NAMES] = f->read_ns / 2,
    };
    const uint64_t error[] = {
        [DRIVE_READ] = f->read_error,
        [DRIVE_WRITE] = f->write_error,
        [DRIVE_SYNC] = f->sync_error,
        [DRIVE_NAMES] = 0,
    };
    struct drive_verdict verdict = { .ns = duration_around(typical[work]) + len / 4 };
    if (once_in(f->slow)) {
        verdict.ns *= 100;
    }
    if (once_in(f->hang)) {
        verdict.ns += between(1, 8000) * NS_PER_MS;
        note("%s: the drive hangs for %.3f s", machine->name, (double)verdict.ns / 1e9);
        machine->drive.n_faults++;
    }
    if (f->dead || once_in(error[work])) {
        verdict.error = -EIO;
        machine->drive.harmed = true;
        note("%s: an error of the drive, kind %d", machine->name, (int)work);
        machine->drive.n_faults++;
    }
    return verdict;
}

/* Waits as long as the call takes. Returns its error. */
static int wait_for_drive(struct machine *machine, enum drive_work work, size_t len)
{
    if (fiber_current() == NULL) {
        return machine->drive.faults.dead ? -EIO : 0;
    }
    struct drive_verdict verdict = drive_decide(machine, work, len);
    job_sleep(verdict.ns);
    return verdict.error;
}

/* ---- open and close ---------------------------------------------------------------------------*/

int file_open_now(struct machine *machine, const char *path, unsigned flags, struct file **ret_file)
{
    struct memory *was = memory_enter(NULL);
    struct inode *inode = drive_find(&machine->drive, path);
    int err = 0;
    if (inode == NULL) {
        err = flags & FILE_CREATE ? drive_create(&machine->drive, path, false, &inode) : -ENOENT;
    } else if ((flags & FILE_CREATE) && (flags & FILE_EXCLUSIVE)) {
        err = -EEXIST;
    } else if (inode->is_dir) {
        err = -EISDIR;
    } else if (flags & FILE_TRUNCATE) {
        err = drive_truncate(&machine->drive, inode, 0);
    }
    memory_enter(was);
    if (err != 0) {
        return err;
    }
    struct file *file = mem_zalloc(sizeof *file);
    *file = (struct file){
        .machine = machine,
        .inode = inode,
        .durable = flags & FILE_DURABLE,
        .direct = (flags & FILE_DURABLE) && !machine->drive.faults.no_direct,
    };
    inode->opens++;
    list_push_back(&machine->files, &file->link);
    *ret_file = file;
    return 0;
}

int file_open(const char *path, unsigned flags, struct file **ret_file)
{
    struct machine *machine = world->running;
    int err = wait_for_drive(machine, DRIVE_NAMES, 0);
    return err ? err : file_open_now(machine, path, flags, ret_file);
}

void file_abandon(struct file *file)
{
    file->inode->opens--;
    file->inode->locked &= !file->lock;
    list_remove(&file->link);
}

void file_close(struct file *file)
{
    if (file != NULL) {
        file_abandon(file);
        free(file);
    }
}

bool file_is_direct(const struct file *file)
{
    return file->direct;
}

int file_lock(const char *path, struct file **ret_file)
{
    struct file *file;
    int err = file_open(path, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
    if (err == 0 && file->inode->locked) {
        file_close(file);
        err = -EWOULDBLOCK;
    }
    if (err == 0) {
        file->lock = file->inode->locked = true;
        *ret_file = file;
    }
    return err;
}

/* ---- data -------------------------------------------------------------------------------------*/

int64_t file_read_at(struct file *file, void *to, size_t len, uint64_t at)
{
    int err = wait_for_drive(file->machine, DRIVE_READ, len);
    return err ? err : (int64_t)inode_read(file->inode, to, len, at);
}

int file_write_now(struct file *file, const void *data, size_t len, uint64_t at)
{
    struct memory *was = memory_enter(NULL);
    struct drive *drive = &file->machine->drive;
    int err = file->durable ? drive_write_durable(drive, file->inode, data, len, at)
                            : drive_write(drive, file->inode, data, len, at);
    memory_enter(was);
    note_number(at);
    note_bytes(data, len);
    return err;
}

void file_write_cut(struct file *file, const struct iovec *iov, unsigned n, uint64_t at)
{
    struct memory *was = memory_enter(NULL);
    unsigned percent = (unsigned)between(0, 2) * 50;
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *data = iov[i].iov_base;
        for (size_t done = 0, len; done < iov[i].iov_len; done += len) {
            len = min_u64(DRIVE_SECTOR - (at + done) % DRIVE_SECTOR, iov[i].iov_len - done);
            if (chance(percent)) {
                drive_write(&file->machine->drive, file->inode, data + done, len, at + done);
            }
        }
        at += iov[i].iov_len;
    }
    memory_enter(was);
}

int file_write_at(struct file *file, const void *data, size_t len, uint64_t at)
{
    enum { STEP = 64 * 1024 };
    for (size_t done = 0; done < len;) {
        size_t part = min_u64(len - done, STEP);
        int err = wait_for_drive(file->machine, DRIVE_WRITE, part);
        err = err ? err : file_write_now(file, (const char *)data + done, part, at + done);
        if (err != 0) {
            return err;
        }
        done += part;
    }
    return 0;
}

int file_sync_now(struct file *file, uint64_t seq, int error)
{
    struct memory *was = memory_enter(NULL);
    if (error != 0) {
        drive_lose(&file->machine->drive, file->inode, seq);
    } else {
        drive_sync(file->inode, seq);
    }
    memory_enter(was);
    return error;
}

int file_sync(struct file *file)
{
    uint64_t seq = file->machine->drive.seq;
    int err = wait_for_drive(file->machine, DRIVE_SYNC, 0);
    return file_sync_now(file, seq, err);
}

int file_truncate(struct file *file, uint64_t len)
{
    int err = wait_for_drive(file->machine, DRIVE_NAMES, 0);
    struct memory *was = memory_enter(NULL);
    err = err ? err : drive_truncate(&file->machine->drive, file->inode, len);
    memory_enter(was);
    return err;
}

int64_t file_size(const struct file *file)
{
    return (int64_t)file->inode->content.len;
}

/* ---- whole files ------------------------------------------------------------------------------*/

int file_load(const char *path, size_t max, struct buf *to)
{
    struct file *file;
    int err = file_open(path, FILE_READ, &file);
    if (err != 0) {
        return err;
    }
    size_t len = file->inode->content.len;
    if (len > max) {
        err = -EFBIG;
    } else {
        int64_t n = file_read_at(file, buf_reserve(to, len), len, 0);
        err = n < 0 ? (int)n : 0;
        to->len += n > 0 ? (size_t)n : 0;
    }
    file_close(file);
    return err;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash != path ? text_dup(text_part(path, (size_t)(slash - path)))
                                          : mem_strdup("/");
}

static int write_new(const char *path, struct bytes content)
{
    struct file *file;
    int err = file_open(path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (err != 0) {
        return err;
    }
    err = file_write_at(file, content.data, content.len, 0);
    err = err ? err : file_sync(file);
    file_close(file);
    return err;
}

int file_replace(const char *path, struct bytes content)
{
    char *temporary = mem_sprintf("%s.tmp", path), *parent = parent_of(path);
    int err = write_new(temporary, content);
    err = err ? err : file_rename(temporary, path);
    if (err != 0) {
        file_remove(temporary);
    } else {
        err = dir_sync(parent);
    }
    free(parent);
    free(temporary);
    return err;
}

/* ---- names ------------------------------------------------------------------------------------*/

bool file_exists(const char *path)
{
    return drive_find(&world->running->drive, path) != NULL;
}

int64_t file_length(const char *path)
{
    const struct inode *inode = drive_find(&world->running->drive, path);
    return inode != NULL ? (int64_t)inode->content.len : -ENOENT;
}

int file_rename(const char *from, const char *to)
{
    struct machine *machine = world->running;
    int err = wait_for_drive(machine, DRIVE_NAMES, 0);
    struct memory *was = memory_enter(NULL);
    err = err ? err : drive_rename(&machine->drive, from, to);
    memory_enter(was);
    return err;
}

static int remove_name(const char *path, bool is_dir)
{
    struct machine *machine = world->running;
    int err = wait_for_drive(machine, DRIVE_NAMES, 0);
    struct memory *was = memory_enter(NULL);
    err = err ? err : drive_remove(&machine->drive, path, is_dir);
    memory_enter(was);
    return err;
}

int file_remove(const char *path)
{
    return remove_name(path, false);
}

int dir_remove(const char *path)
{
    return remove_name(path, true);
}

int dir_remove_all(const char *path)
{
    struct dir_entry *entries;
    size_t n;
    int err = dir_list(path, &entries, &n);
    if (err != 0) {
        return err == -ENOENT ? 0 : err;
    }
    for (size_t i = 0; i < n && err == 0; i++) {
        char *name = mem_sprintf("%s/%s", path, entries[i].name);
        err = entries[i].is_dir ? dir_remove_all(name) : file_remove(name);
        free(name);
    }
    dir_list_free(entries, n);
    return err ? err : dir_remove(path);
}

int dir_sync(const char *path)
{
    struct machine *machine = world->running;
    uint64_t seq = machine->drive.seq;
    int err = wait_for_drive(machine, DRIVE_SYNC, 0);
    struct inode *dir = drive_find(&machine->drive, path);
    if (err != 0 || dir == NULL) {
        return err ? err : -ENOENT;
    }
    struct memory *was = memory_enter(NULL);
    drive_sync_names(&machine->drive, dir, seq);
    memory_enter(was);
    return 0;
}

int dir_make(const char *path)
{
    struct machine *machine = world->running;
    int err = wait_for_drive(machine, DRIVE_NAMES, 0);
    struct memory *was = memory_enter(NULL);
    err = err ? err : drive_create(&machine->drive, path, true, NULL);
    memory_enter(was);
    return err;
}

int dir_create(const char *path)
{
    const struct inode *there = drive_find(&world->running->drive, path);
    if (there != NULL) {
        return there->is_dir ? 0 : -EEXIST;
    }
    char *parent = parent_of(path);
    int err = dir_create(parent);
    err = err ? err : dir_make(path);
    err = err ? err : dir_sync(parent);
    free(parent);
    return err;
}

int dir_list(const char *path, struct dir_entry **ret_entries, size_t *ret_n)
{
    struct machine *machine = world->running;
    int err = wait_for_drive(machine, DRIVE_NAMES, 0);
    const struct inode *dir = drive_find(&machine->drive, path);
    if (err != 0 || dir == NULL || !dir->is_dir) {
        return err ? err : dir == NULL ? -ENOENT : -ENOTDIR;
    }
    struct dir_entry *entries = mem_zalloc_array(dir->names.n, sizeof *entries);
    for (size_t i = 0; i < dir->names.n; i++) {
        entries[i].name = mem_strdup(dir->names.items[i].text);
        entries[i].is_dir = dir->names.items[i].inode->is_dir;
    }
    *ret_entries = entries;
    *ret_n = dir->names.n;
    return 0;
}

void dir_list_free(struct dir_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(entries[i].name);
    }
    free(entries);
}

int dir_space(const char *path, struct disk_space *ret_space)
{
    const struct drive *drive = &world->running->drive;
    (void)path;
    *ret_space = (struct disk_space){
        .total = drive->capacity,
        .available = drive_room(drive),
    };
    return 0;
}
