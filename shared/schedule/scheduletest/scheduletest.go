// Package scheduletest gives tests a Cloud Scheduler in process, behind the real client.
//
// Invariants: it keeps what it is given and adds what Google's does (a state, a User-Agent header); it refuses what Google's documentation
// says is refused: names of other places, deadlines and retries out of bounds, long descriptions, changes of jobs that are not there. It
// fires nothing by itself, and does not own which jobs there are to be.
package scheduletest

import (
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	scheduler "cloud.google.com/go/scheduler/apiv1"
	"cloud.google.com/go/scheduler/apiv1/schedulerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// pageJobs is how many jobs a page holds: few, so that tests turn pages.
const pageJobs = 2

// Server is a Cloud Scheduler. It may be used concurrently.
type Server struct {
	schedulerpb.UnimplementedCloudSchedulerServer
	listener *bufconn.Listener

	mu    sync.Mutex
	jobs  map[string]*schedulerpb.Job
	calls []string
	fail  func(call string) error
}

var _ schedulerpb.CloudSchedulerServer = (*Server)(nil)

// New starts a server that lives as long as the test.
func New(t *testing.T) *Server {
	t.Helper()
	s := &Server{listener: bufconn.Listen(1 << 16), jobs: map[string]*schedulerpb.Job{}}
	server := grpc.NewServer()
	schedulerpb.RegisterCloudSchedulerServer(server, s)
	go func() {
		if err := server.Serve(s.listener); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(server.Stop)
	return s
}

// Options reach the server with one real client, which closes its connection.
func (s *Server) Options(t *testing.T) []option.ClientOption {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:scheduler", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return []option.ClientOption{option.WithGRPCConn(conn)}
}

// Client is a real client of the server.
func (s *Server) Client(t *testing.T) *scheduler.CloudSchedulerClient {
	t.Helper()
	c, err := scheduler.NewCloudSchedulerClient(t.Context(), s.Options(t)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Put keeps a job as it is given, as if somebody had made it in the console.
func (s *Server) Put(j *schedulerpb.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[j.GetName()] = proto.CloneOf(j)
}

// Edit changes a job that is there behind everybody's back.
func (s *Server) Edit(t *testing.T, name string, edit func(*schedulerpb.Job)) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[name]
	if !ok {
		t.Fatalf("there is no job %s", name)
	}
	edit(j)
}

// Job returns a job by its full name; nil for one that is not there.
func (s *Server) Job(name string) *schedulerpb.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[name]
	if !ok {
		return nil
	}
	return proto.CloneOf(j)
}

// Calls returns the calls so far that changed or fired a job, and forgets them.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.calls
	s.calls = nil
	return out
}

// Fail decides for each call to come that changes or fires a job whether it fails, before it does anything; nil for none.
func (s *Server) Fail(fail func(call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// act notes a call and runs it on the job of a name, or on nil.
func (s *Server) act(verb, name string, run func(*schedulerpb.Job) (*schedulerpb.Job, error)) (*schedulerpb.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := verb + " " + name[strings.LastIndex(name, "/")+1:]
	if s.fail != nil {
		if err := s.fail(call); err != nil {
			return nil, err
		}
	}
	s.calls = append(s.calls, call)
	j, err := run(s.jobs[name])
	if err != nil {
		return nil, err
	}
	return proto.CloneOf(j), nil
}

// ListJobs implements the service.
func (s *Server) ListJobs(_ context.Context, r *schedulerpb.ListJobsRequest) (*schedulerpb.ListJobsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.jobs)), func(n string) bool { return !strings.HasPrefix(n, r.GetParent()+"/jobs/") })
	from := 0
	if token := r.GetPageToken(); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n > len(names) {
			return nil, status.Error(codes.InvalidArgument, "page token")
		}
		from = n
	}
	out := &schedulerpb.ListJobsResponse{}
	for _, n := range names[from:min(from+pageJobs, len(names))] {
		out.Jobs = append(out.Jobs, proto.CloneOf(s.jobs[n]))
	}
	if from+pageJobs < len(names) {
		out.NextPageToken = strconv.Itoa(from + pageJobs)
	}
	return out, nil
}

// valid refuses what Google's service does.
func valid(j *schedulerpb.Job) error {
	d, retries := j.GetAttemptDeadline().AsDuration(), j.GetRetryConfig().GetRetryCount()
	switch {
	case len([]rune(j.GetDescription())) > 500:
		return status.Error(codes.InvalidArgument, "description is too long")
	case j.GetSchedule() == "" || j.GetHttpTarget().GetUri() == "" || j.GetHttpTarget().GetOidcToken().GetServiceAccountEmail() == "":
		return status.Error(codes.InvalidArgument, "schedule, URL and account are required")
	case d < 15*time.Second || d > 30*time.Minute:
		return status.Error(codes.InvalidArgument, "attempt deadline is out of bounds")
	case retries < 0 || retries > 5:
		return status.Error(codes.InvalidArgument, "retry count is out of bounds")
	}
	return nil
}

// taken is a job as it is kept once it is given.
func taken(j *schedulerpb.Job, state schedulerpb.Job_State) *schedulerpb.Job {
	j = proto.CloneOf(j)
	j.State = state
	j.GetHttpTarget().Headers = map[string]string{"User-Agent": "Google-Cloud-Scheduler"}
	return j
}

// CreateJob implements the service.
func (s *Server) CreateJob(_ context.Context, r *schedulerpb.CreateJobRequest) (*schedulerpb.Job, error) {
	name := r.GetJob().GetName()
	return s.act("create", name, func(is *schedulerpb.Job) (*schedulerpb.Job, error) {
		if is != nil {
			return nil, status.Error(codes.AlreadyExists, name)
		}
		if !strings.HasPrefix(name, r.GetParent()+"/jobs/") {
			return nil, status.Error(codes.InvalidArgument, "the name is not of the parent")
		}
		if err := valid(r.GetJob()); err != nil {
			return nil, err
		}
		s.jobs[name] = taken(r.GetJob(), schedulerpb.Job_ENABLED)
		return s.jobs[name], nil
	})
}

// UpdateJob implements the service for masks of whole fields.
func (s *Server) UpdateJob(_ context.Context, r *schedulerpb.UpdateJobRequest) (*schedulerpb.Job, error) {
	name := r.GetJob().GetName()
	return s.act("change", name, func(is *schedulerpb.Job) (*schedulerpb.Job, error) {
		if is == nil {
			return nil, status.Error(codes.NotFound, name)
		}
		if err := valid(r.GetJob()); err != nil {
			return nil, err
		}
		state := is.GetState()
		if state == schedulerpb.Job_UPDATE_FAILED {
			state = schedulerpb.Job_ENABLED
		}
		from, to := taken(r.GetJob(), state).ProtoReflect(), is.ProtoReflect()
		is.State = state
		for _, p := range r.GetUpdateMask().GetPaths() {
			f := to.Descriptor().Fields().ByTextName(p)
			if f == nil {
				return nil, status.Errorf(codes.InvalidArgument, "there is no field %s", p)
			}
			to.Set(f, from.Get(f))
		}
		return is, nil
	})
}

// DeleteJob implements the service.
func (s *Server) DeleteJob(_ context.Context, r *schedulerpb.DeleteJobRequest) (*emptypb.Empty, error) {
	_, err := s.act("delete", r.GetName(), func(is *schedulerpb.Job) (*schedulerpb.Job, error) {
		if is == nil {
			return nil, status.Error(codes.NotFound, r.GetName())
		}
		delete(s.jobs, r.GetName())
		return is, nil
	})
	return &emptypb.Empty{}, err
}

// PauseJob implements the service.
func (s *Server) PauseJob(_ context.Context, r *schedulerpb.PauseJobRequest) (*schedulerpb.Job, error) {
	return s.turn("pause", r.GetName(), schedulerpb.Job_PAUSED)
}

// ResumeJob implements the service.
func (s *Server) ResumeJob(_ context.Context, r *schedulerpb.ResumeJobRequest) (*schedulerpb.Job, error) {
	return s.turn("resume", r.GetName(), schedulerpb.Job_ENABLED)
}

func (s *Server) turn(verb, name string, state schedulerpb.Job_State) (*schedulerpb.Job, error) {
	return s.act(verb, name, func(is *schedulerpb.Job) (*schedulerpb.Job, error) {
		if is == nil {
			return nil, status.Error(codes.NotFound, name)
		}
		is.State = state
		return is, nil
	})
}

// RunJob implements the service: it notes that the job was fired.
func (s *Server) RunJob(_ context.Context, r *schedulerpb.RunJobRequest) (*schedulerpb.Job, error) {
	return s.act("run", r.GetName(), func(is *schedulerpb.Job) (*schedulerpb.Job, error) {
		if is == nil {
			return nil, status.Error(codes.NotFound, r.GetName())
		}
		is.LastAttemptTime = timestamppb.Now()
		return is, nil
	})
}
